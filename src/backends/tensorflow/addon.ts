/**
 * Finding and preparing tfjs-node's native addon in the main thread, before any worker loads it.
 *
 * Two facts make the order matter. The addon reads its thread counts from the environment when it is first loaded in
 * the process, so they must be set before; so must the choice of oneDNN's convolutions and matrix products, which
 * TensorFlow by itself leaves off on processors without AVX-512 and which take a quarter to a half of the time there
 * (filter gradient of 32 → 32 channels, 128×16×16: 9 ms against 16 to 55). And it enters the names of op attributes into a process-global
 * `std::set` without a lock: two threads that insert at once corrupt it (tensorflow/tfjs issue 8388; 2 of 95 runs with
 * 8 workers crashed). Entering every name once, from one thread, makes all later calls read-only: 0 of 70 crashed.
 * To be deleted when tfjs-node locks the set itself.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { BackendError } from '../../errors.js';
import { locateAddon, locateTfjsNode } from '../../setup/index.js';
import { ATTRIBUTE_NAMES, type AttributeName } from './attribute-names.js';
import { openKernels } from './kernels.js';
import { type GuardedBinding, guardBinding } from './onednn-guard.js';

const requireFromHere = createRequire(import.meta.url);

interface Addon extends GuardedBinding {
  readonly TF_Version?: string;
}

export interface PreparedAddon {
  readonly version: string;
  /** Whether the user's program had loaded the addon before, so that its thread counts could not be set. */
  readonly loadedBefore: boolean;
  /** Whether the environment asks for one thread, as workers need it. */
  readonly hasOneThread: boolean;
}

/**
 * One thread inside an op. A negative number of threads between ops has a graph's ops run in the thread that calls it: with one
 * thread for them, all workers would wait for the same one.
 */
const THREADS = { TF_NUM_INTRAOP_THREADS: '1', TF_NUM_INTEROP_THREADS: '-1' } as const;

let prepared: PreparedAddon | undefined;

function findAddon(): string {
  const tfjsNode = locateTfjsNode();
  if (tfjsNode === null) {
    throw new BackendError(
      'tensorflow',
      'the package @tensorflow/tfjs-node is not installed. Run `npx millrace setup` to install and prepare it.',
    );
  }
  const path = locateAddon(tfjsNode);
  if (!existsSync(path)) {
    throw new BackendError(
      'tensorflow',
      '@tensorflow/tfjs-node is installed without its native addon. Run `npx millrace setup`, then `npx millrace doctor`.',
    );
  }
  return path;
}

/**
 * Loads the addon with one thread per worker, enters all attribute names, and adds Millrace's own ops. Repeated calls return the
 * first result.
 * The user's tfjs backend stays as it is: the bare addon registers nothing.
 */
export function prepareAddon(): PreparedAddon {
  if (prepared !== undefined) return prepared;
  const path = findAddon();
  const loadedBefore = requireFromHere.cache[path] !== undefined;
  if (!loadedBefore) {
    Object.assign(process.env, THREADS);
    process.env['TF_ENABLE_ONEDNN_OPTS'] ??= '1';
    // TensorFlow's start-up notices say nothing about the user's program.
    process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2';
  }
  let addon: Addon;
  try {
    addon = requireFromHere(path) as Addon;
  } catch (error) {
    throw new BackendError(
      'tensorflow',
      `The native addon of @tensorflow/tfjs-node does not load: ${(error as Error).message}. ` +
        'Run `npx millrace doctor` to see why.',
      { cause: error },
    );
  }
  // Whoever loads tfjs-node in this thread from now on gets it with the guard.
  const module = requireFromHere.cache[requireFromHere.resolve(path)];
  if (!loadedBefore && module !== undefined) module.exports = guardBinding(addon);
  for (const name of ATTRIBUTE_NAMES) enterAttributeName(addon, name);
  openKernels();
  const hasOneThread = Object.entries(THREADS).every(([variable, count]) => process.env[variable] === count);
  prepared = { version: addon.TF_Version ?? 'unknown', loadedBefore, hasOneThread };
  return prepared;
}

/** The addon enters a name before it reads the value, and refuses this one: nothing reaches TensorFlow. */
function enterAttributeName(addon: Addon, name: AttributeName): void {
  try {
    addon.executeOp('NoOp', [{ name, type: addon.TF_ATTR_BOOL, value: null }], [], 0);
  } catch {
    // By now the name is entered.
  }
}
