/** The engines that a shared suite runs on, and how the main thread changes between them. */

import { existsSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe } from 'vitest';
import { loadKernels, prepareAddon } from '#internal/backends/tensorflow/index.js';
import { loadWasmBackend } from '#internal/backends/wasm/index.js';
import { locateKernels } from '#internal/setup/index.js';

/** Whether the set-up has compiled Millrace's own ops, which a machine without a C++ compiler goes without. */
export const HAS_KERNELS = process.env['MILLRACE_KERNELS'] !== '0' && existsSync(locateKernels() ?? '');

export type BackendName = 'tensorflow' | 'wasm' | 'cpu';

const ALL: readonly BackendName[] = ['tensorflow', 'wasm', 'cpu'];

/**
 * What `MILLRACE_TEST_BACKENDS` lists; without it, every engine that loads here. A listed one that does not load fails its
 * tests: only a machine that was never asked for it may leave it out.
 */
export function backends(): readonly BackendName[] {
  const listed = process.env['MILLRACE_TEST_BACKENDS'];
  if (listed === undefined || listed === '') return ALL.filter(name => name !== 'tensorflow' || addonLoads());
  return listed.split(',').map(name => {
    const known = ALL.find(other => other === name.trim());
    if (known === undefined)
      throw new Error(`MILLRACE_TEST_BACKENDS names '${name}'; known are ${ALL.join(', ')}`);
    return known;
  });
}

function addonLoads(): boolean {
  try {
    prepareAddon();
    return true;
  } catch {
    return false;
  }
}

/** Makes a backend tfjs's current one in this thread, as the oracle needs it. */
export async function useBackend(name: BackendName): Promise<void> {
  tf.enableProdMode();
  if (name === 'tensorflow') {
    // Before tfjs-node: the thread counts are read when its addon loads, and workers share them.
    prepareAddon();
    await import('@tensorflow/tfjs-node');
    await tf.setBackend('tensorflow');
    loadKernels();
  } else if (name === 'wasm') {
    await loadWasmBackend();
  } else {
    await tf.setBackend('cpu');
  }
  await tf.ready();
  if (tf.getBackend() !== name) throw new Error(`wanted backend ${name}, but ${tf.getBackend()} is current`);
}

/** One `describe` for every backend, with that backend current in the main thread. */
export function describeOnBackends(name: string, suite: (backend: BackendName) => void): void {
  describe.each(backends())(`${name} on %s`, backend => {
    beforeAll(() => useBackend(backend));
    suite(backend);
  });
}
