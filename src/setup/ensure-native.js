/**
 * Gets native TensorFlow into an installed tfjs-node package, by the first way that works:
 *
 *   1. it already loads;
 *   2. the cache has what an earlier set-up obtained here;
 *   3. tfjs-node's own install script;
 *   4. its addon built from source against the libraries of PyPI's TensorFlow wheel;
 *   5. not at all: then the wasm backend is what training runs on, unless the user forced TensorFlow.
 *
 * Each way that is tried prints one line and stands in the report. Nothing counts as obtained before a child process
 * has multiplied and trained with it.
 */
import { SetupError } from './errors.js';
import { BACKEND_VARIABLE, forcedBackend } from './forced-backend.js';
import { installTfjsNode } from './install-package.js';
import { findProjectDirectory, locateTfjsNode, PACKAGE_NAME } from './locate.js';
import { cacheDirectory as defaultCacheDirectory, describeMachine } from './machine.js';
import { describeNative, failedAttempt, obtainNative } from './obtain-native.js';
import { probeTfjsNode } from './probe.js';
import { isStillTrue, readSetupReport, setupReportPath, writeSetupReport } from './report.js';
import { failedSlowlyJustNow } from './slow-failure.js';
import { cachedWay } from './ways/cached.js';
import { installScriptWay } from './ways/install-script.js';
import { sourceBuildWay } from './ways/source-build.js';

/**
 * @typedef {object} SetupOptions
 * @property {string} [projectDirectory] whose tfjs-node; by default Millrace's own, else the current directory's
 * @property {boolean} [installMissing] install tfjs-node when it is not there (default false)
 * @property {boolean} [retry] try again what failed slowly a short while ago (default false)
 * @property {(line: string) => void} [log]
 * @property {NodeJS.ProcessEnv} [env]
 * @property {string} [cacheDirectory]
 * @property {readonly import('./ways/way.js').Way[]} [ways]
 * @property {import('./probe.js').Probe} [probe]
 * @property {import('./machine.js').Machine} [machine]
 */

/**
 * @typedef {object} SetupOutcome
 * @property {'ready' | 'unavailable' | 'skipped'} state
 * @property {import('./report.js').SetupReport | null} report null when skipped
 */

/**
 * @param {SetupOptions} [options]
 * @returns {Promise<SetupOutcome>}
 * @throws {SetupError} when `MILLRACE_BACKEND=tensorflow` and it cannot be had
 */
export async function ensureNativeTensorflow(options = {}) {
  const env = options.env ?? process.env;
  /** @param {string} line */
  const log = line => (options.log ?? console.log)(`native TensorFlow: ${line}`);
  const forced = forcedBackend(env);
  if (forced === 'wasm' || forced === 'cpu') {
    log(`not set up, because ${BACKEND_VARIABLE}=${forced}`);
    return { state: 'skipped', report: null };
  }

  /** @type {import('./report.js').Attempt[]} */
  const attempts = [];
  const tfjsNode = await findPackage(options, env, log, attempts);
  const reportPath = setupReportPath(tfjsNode, options.projectDirectory);
  const end = { reportPath, tfjsNode, attempts, forced, log };
  if (tfjsNode === null) return conclude(null, end);

  const before = readSetupReport(reportPath);
  if (isStillTrue(before, tfjsNode)) {
    log(`already loads: ${describeNative(before.native)}, unchanged since it was checked`);
    return { state: 'ready', report: before };
  }
  if (!options.retry && forced === null && failedHereJustNow(before, tfjsNode)) {
    log(
      `not available, as found at ${before?.writtenAt}; wasm is used instead ('npx millrace setup' tries again)`,
    );
    return { state: 'unavailable', report: before };
  }

  const cacheDirectory = options.cacheDirectory ?? defaultCacheDirectory(env);
  /** @type {import('./obtain-native.js').Work} */
  const work = {
    context: { tfjsNode, machine: options.machine ?? describeMachine(), cacheDirectory, env, log },
    ways: options.ways ?? [cachedWay, installScriptWay(), sourceBuildWay],
    probe: options.probe ?? probeTfjsNode,
    attempts,
  };
  return conclude(await obtainNative(work), end);
}

/**
 * @param {SetupOptions} options
 * @param {NodeJS.ProcessEnv} env
 * @param {(line: string) => void} log
 * @param {import('./report.js').Attempt[]} attempts
 */
async function findPackage(options, env, log, attempts) {
  const { projectDirectory } = options;
  const found = locateTfjsNode(projectDirectory === undefined ? undefined : [projectDirectory]);
  if (found !== null) return found;
  const startMs = performance.now();
  try {
    if (!options.installMissing) {
      throw new SetupError(`${PACKAGE_NAME} is not installed`, { remedy: "run 'npx millrace setup'" });
    }
    log(`installing ${PACKAGE_NAME}, which is not there yet`);
    const installed = await installTfjsNode(projectDirectory ?? findProjectDirectory(), env);
    log(
      "installed without an entry in package.json: when a later 'npm install' removes it, run the set-up again",
    );
    return installed;
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    attempts.push(failedAttempt('the npm package', error, performance.now() - startMs));
    log(error.message);
    return null;
  }
}

/**
 * @typedef {object} End What the last step needs: where the report goes, and what goes into it.
 * @property {string} reportPath
 * @property {import('./locate.js').TfjsNodePackage | null} tfjsNode
 * @property {import('./report.js').Attempt[]} attempts
 * @property {import('./forced-backend.js').BackendName | null} forced
 * @property {(line: string) => void} log
 */

/**
 * @param {import('./report.js').NativeFacts | null} native
 * @param {End} end
 * @returns {SetupOutcome}
 */
function conclude(native, { reportPath, tfjsNode, attempts, forced, log }) {
  const about = tfjsNode === null ? null : { directory: tfjsNode.directory, version: tfjsNode.version };
  const report = writeSetupReport(reportPath, { tfjsNode: about, native, attempts });
  if (native !== null) return { state: 'ready', report };

  const remedies = remediesOf(report);
  if (forced === 'tensorflow') {
    const why = attempts.map(({ way, detail }) => `\n  ${way}: ${detail}`).join('');
    throw new SetupError(`${BACKEND_VARIABLE}=tensorflow, but native TensorFlow cannot be had:${why}`, {
      remedy: remedies.join('; ') || undefined,
    });
  }
  log(
    `not available; wasm is used instead${remedies.length > 0 ? `. To get it: ${remedies.join('; ')}` : ''}`,
  );
  return { state: 'unavailable', report };
}

/**
 * @param {import('./report.js').SetupReport} report
 * @returns {string[]} each once
 */
export function remediesOf(report) {
  return [...new Set(report.attempts.map(({ remedy }) => remedy).filter(remedy => remedy !== null))];
}

/**
 * @param {import('./report.js').SetupReport | null} report
 * @param {import('./locate.js').TfjsNodePackage} tfjsNode
 */
function failedHereJustNow(report, tfjsNode) {
  if (report === null || report.native !== null || report.nodeVersion !== process.version) return false;
  if (report.tfjsNode?.directory !== tfjsNode.directory) return false;
  const spentMs = report.attempts.reduce((sum, { durationMs }) => sum + durationMs, 0);
  return failedSlowlyJustNow(spentMs, report.writtenAt);
}
