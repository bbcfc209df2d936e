/**
 * Calls npm the same way whether this process was started by hand, by `npm run` or by npx.
 */
import path from 'node:path';

/**
 * Settings that say where packages come from and how to reach them. All others that a surrounding npm command has put
 * into the environment (`ignore_scripts`, `omit`, `global`, `dry_run`, …) belong to that command.
 */
const KEPT_SETTINGS =
  /^npm_config_(.*:)?(registry|_auth.*|(https?_|no)?_?proxy|ca|cafile|cert|key|strict_ssl|userconfig|globalconfig|cache)$/i;

/**
 * @param {NodeJS.ProcessEnv} env
 * @returns {NodeJS.ProcessEnv}
 */
export function npmEnvironment(env) {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !/^npm_config_/i.test(name) || KEPT_SETTINGS.test(name)),
  );
}

/**
 * @param {NodeJS.ProcessEnv} env
 * @returns {{ command: string, leadingArgs: readonly string[] }}
 */
export function npmCommand(env) {
  // The npm that is running us, by its script: on Windows `npm` is a batch file, which cannot be spawned directly.
  const script = env['npm_execpath'];
  if (script !== undefined && /^np[mx]-cli\.js$/.test(path.basename(script))) {
    return { command: process.execPath, leadingArgs: [path.join(path.dirname(script), 'npm-cli.js')] };
  }
  return { command: process.platform === 'win32' ? 'npm.cmd' : 'npm', leadingArgs: [] };
}
