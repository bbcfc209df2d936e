#!/usr/bin/env node
// @ts-check
/**
 * `npm start`, `npm test` and the benchmarks: from a fresh clone to the finished job, with Node's built-in modules alone
 * until the packages are there. Each step looks first whether there is anything to do.
 *
 *   node scripts/run.mjs start [arguments for the example]
 *   node scripts/run.mjs test [arguments for vitest]
 *   node scripts/run.mjs test:browser [arguments for vitest]
 *   node scripts/run.mjs bench [arguments for bench/bench.mjs]
 *   node scripts/run.mjs bench:fits [arguments for bench/fits.mjs]
 *   node scripts/run.mjs bench:memory [arguments for bench/memory.mjs]
 *   node scripts/run.mjs bench:scaling [arguments for bench/scaling.mjs]
 *   node scripts/run.mjs bench:schedules [arguments for bench/schedules.mjs]
 *   node scripts/run.mjs bench:simulator [arguments for bench/simulator.mjs]
 *   node scripts/run.mjs bench:setup [arguments for pip]
 *   node scripts/run.mjs bench:transport [arguments for bench/transport.mjs]
 *   node scripts/run.mjs bench:tasks [arguments for bench/tasks.mjs]
 *
 * The steps are called from here and not from npm's `prestart` and `pretest`, which npm skips without a word when the
 * user has set `ignore-scripts`.
 */
import { setUpTorch } from '../bench/setup.mjs';
import { withLock } from '../src/setup/lock.js';
import { isSupportedNode, OLDEST_NODE } from '../src/setup/machine.js';
import { build } from './run/build.mjs';
import { runBrowserTests, runChecks, testBackends } from './run/checks.mjs';
import { runInForeground } from './run/child.mjs';
import { installDependencies } from './run/install-dependencies.mjs';
import { linkCommand } from './run/link-command.mjs';
import { clonePaths } from './run/paths.mjs';
import { StepFailed, say, throwIfFailed, timed } from './run/step.mjs';

const clone = clonePaths();

/** @returns {Promise<boolean>} whether native TensorFlow is ready */
async function prepare() {
  await withLock(
    clone.lock,
    async () => {
      await timed(() => installDependencies(clone));
      await timed(() => build(clone));
      linkCommand(clone);
    },
    { onWait: owner => say(`waiting for another run in this clone (${owner})`) },
  );
  // Only now: the set-up resolves packages that the first step has installed.
  const { ensureKernels, ensureNativeTensorflow } = await import('../src/setup/index.js');
  const { state, report } = await ensureNativeTensorflow({ projectDirectory: clone.root });
  if (report?.native) await ensureKernels(report.native, { projectDirectory: clone.root });
  return state === 'ready';
}

/**
 * A command that sets everything up and then runs one program of the repository.
 * @param {string} program
 * @returns {(args: string[]) => Promise<void>}
 */
function prepared(program) {
  return async args => {
    await prepare();
    throwIfFailed(program, await runInForeground(process.execPath, [program, ...args], { cwd: clone.root }));
  };
}

/** @type {Readonly<Record<string, (args: string[]) => Promise<void>>>} */
const commands = {
  start: prepared('examples/01-mnist/train.mjs'),
  async test(args) {
    const nativeIsReady = await prepare();
    await runChecks(clone, testBackends(nativeIsReady), args);
  },
  async 'test:browser'(args) {
    await prepare();
    await runBrowserTests(clone, args);
  },
  bench: prepared('bench/bench.mjs'),
  'bench:fits': prepared('bench/fits.mjs'),
  'bench:memory': prepared('bench/memory.mjs'),
  'bench:scaling': prepared('bench/scaling.mjs'),
  'bench:schedules': prepared('bench/schedules.mjs'),
  async 'bench:setup'(pipArgs) {
    await timed(() => setUpTorch({ pipArgs, say }));
  },
  'bench:simulator': prepared('bench/simulator.mjs'),
  'bench:transport': prepared('bench/transport.mjs'),
  'bench:tasks': prepared('bench/tasks.mjs'),
};

const [name = '', ...args] = process.argv.slice(2);
const command = commands[name];
try {
  if (command === undefined) {
    throw new Error(`unknown command ${JSON.stringify(name)}; known are ${Object.keys(commands).join(', ')}`);
  }
  if (!isSupportedNode()) {
    console.error(`millrace: needs Node ${OLDEST_NODE} or later, and this is ${process.version}`);
    process.exit(1);
  }
  await command(args);
} catch (error) {
  const failure = /** @type {Error & { remedy?: string | null }} */ (error);
  const isExpected = failure instanceof StepFailed || failure.name === 'SetupError' || command === undefined;
  console.error(`millrace: ${isExpected ? failure.message : failure.stack}`);
  if (failure.remedy) console.error(`millrace: what to do: ${failure.remedy}`);
  process.exitCode = failure instanceof StepFailed ? failure.exitCode : 1;
  if (failure instanceof StepFailed && failure.signal !== null) process.kill(process.pid, failure.signal);
}
