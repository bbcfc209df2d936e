// @ts-check
/** Who takes part: every system as the process that it runs in. */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const bench = fileURLToPath(new URL('..', import.meta.url));
const peer = (/** @type {string} */ file) => path.join(bench, 'peers', file);

export const CORES = availableParallelism();
/** The virtual environment that `npm run bench:setup` makes. */
export const TORCH_ENVIRONMENT = path.join(bench, '.venv');
export const PYTHON = path.join(TORCH_ENVIRONMENT, 'bin/python');

export const hasTorch = () => existsSync(PYTHON);

/**
 * @typedef {object} System
 * @property {string} system as in the results
 * @property {string} backend
 * @property {string | null} plan of Millrace's own
 * @property {string} command
 * @property {readonly string[]} args
 * @property {Record<string, string>} env
 * @property {number} divisor what a measured time is divided by: the limit is one trainer's time, shared by all cores
 * @property {'plain' | 'millrace' | 'pipelining'} kind which commands it answers
 */

export const ONE_THREAD = { TF_NUM_INTRAOP_THREADS: '1', TF_NUM_INTEROP_THREADS: '1' };

/** Models that tfjs's wasm backend can train without Millrace's kernels. */
export const PLAIN_WASM_MODELS = ['mlp', 'lstm', 'lstm-sigmoid', 'wide', 'tiny'];

/**
 * @param {string} model
 * @param {import('../models/build.mjs').ModelSpec} spec
 * @param {string} directory of first weights and samples
 * @returns {System[]}
 */
export function systemsFor(model, spec, directory) {
  /** @param {string} system @param {string} backend @param {string[]} args @param {Partial<System>} [more] @returns {System} */
  const node = (system, backend, args, more = {}) => ({
    system,
    backend,
    plan: null,
    command: process.execPath,
    args: [...args, model, directory],
    env: {},
    divisor: 1,
    kind: 'plain',
    ...more,
  });
  /** @param {string} plan @param {string} backend @param {object} options */
  const millrace = (plan, backend, options, more = {}) =>
    node('millrace', backend, [peer('millrace.mjs'), JSON.stringify({ backend, ...options })], {
      plan,
      kind: 'millrace',
      ...more,
    });
  /** @param {string} system @param {string[]} args @param {Partial<System>} [more] @returns {System} */
  const torch = (system, args, more = {}) => ({
    ...node(system, 'torch', [], more),
    command: PYTHON,
    args: [...args, model, directory],
  });
  const oneStage = { stages: 1, workers: 1 };
  const twoStages = { stages: 2, workers: 2, batchNorm: 'micro-batch' };
  const twoReplicas = { replicas: 2, workers: 2, batchNorm: 'micro-batch' };
  const systems = [
    node('tfjs-node', 'tensorflow', [peer('tfjs.mjs'), 'node']),
    node('tfjs-node-1-thread', 'tensorflow', [peer('tfjs.mjs'), 'node'], { env: ONE_THREAD }),
    millrace('1-stage', 'tensorflow', oneStage),
    millrace('2-stage', 'tensorflow', twoStages),
    millrace('2-replica', 'tensorflow', twoReplicas),
    millrace('auto', 'tensorflow', { batchNorm: 'micro-batch' }),
    millrace(
      '1-stage',
      'tensorflow',
      { ...oneStage, trainers: CORES },
      { system: 'limit', plan: null, divisor: CORES, kind: 'plain' },
    ),
    millrace('1-stage', 'wasm', oneStage),
    millrace('2-stage', 'wasm', twoStages),
    millrace('2-replica', 'wasm', twoReplicas),
  ];
  if (PLAIN_WASM_MODELS.includes(model)) systems.push(node('tfjs-wasm', 'wasm', [peer('tfjs.mjs'), 'wasm']));
  if (hasTorch() && spec.absentIn?.includes('torch') !== true) {
    systems.push(
      torch('torch', [peer('torch_peer.py'), String(CORES)]),
      torch('limit', [peer('torch_peer.py'), '1'], { divisor: CORES }),
      torch('torch-pipelining', [peer('torch_pipelining.py')], { kind: 'pipelining' }),
    );
  }
  return systems;
}
