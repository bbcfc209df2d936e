/** Weights that replicas write into shared memory by parts, and read as a whole. */
import * as tf from '@tensorflow/tfjs';
import { beforeAll, expect, it } from 'vitest';
import { type Backend, loadBackend } from '#internal/backends/index.js';
import type { StageSpec } from '#internal/protocol/stage-spec.js';
import type { StageLayers } from '#internal/stages/layers.js';
import { ReplicaWeights } from '#internal/stages/replica-weights.js';
import { SteppedVariables } from '#internal/stages/stepped-variables.js';
import { Arena } from '#internal/transport/index.js';
import { describeOnBackends, useBackend } from '../helpers/backends.js';

/** A row is a cache line, so every row may begin a part. */
const SHAPE = [6, 16];
const ROWS = [
  { begin: 0, end: 1 },
  { begin: 1, end: 3 },
  { begin: 3, end: 6 },
];

describeOnBackends('a weight that three replicas divide', name => {
  let backend: Backend;
  beforeAll(async () => {
    await useBackend(name);
    backend = await loadBackend(name);
  });

  function replicas() {
    const shared = { memory: Arena.create(4 * 6 * 16).memory, byteOffsets: new Map([[7, 0]]) };
    return ROWS.map((_, replica) => {
      const whole = tf.tidy(() => tf.variable(tf.fill(SHAPE, -1)));
      const spec = {
        stage: replica,
        replica,
        replicaStages: [0, 1, 2],
        trainable: [
          {
            layer: 0,
            weight: 0,
            order: 7,
            positions: [0],
            frozen: false,
            shares: ROWS.map((rows, stepper) => ({ replica: stepper, rows })),
          },
        ],
      } as unknown as StageSpec;
      const layers = { variable: () => whole } as unknown as StageLayers;
      const stepped = new SteppedVariables(spec, layers);
      return { whole, stepped, weights: new ReplicaWeights(spec, layers, stepped, backend, shared) };
    });
  }

  type Replicas = ReturnType<typeof replicas>;

  /** Every replica steps its rows to `10 * step + replica` and says so to nobody yet. */
  function step(all: Replicas, number: number, isStepped = true): void {
    for (const [replica, { stepped, weights }] of all.entries()) {
      const [part] = stepped.variables;
      tf.tidy(() => part!.assign(tf.fill(part!.shape, 10 * number + replica)));
      if (isStepped) weights.publish(0);
      weights.publishOthers();
    }
  }

  const rowsOf = ({ whole }: Replicas[number]): number[] =>
    Array.from({ length: 6 }, (_, row) => whole.dataSync()[row * 16]!);

  function dispose(all: Replicas): void {
    for (const { whole, stepped } of all) {
      whole.dispose();
      stepped.dispose();
    }
  }

  it('is read once all rows of a step are there', () => {
    const { numTensors } = tf.memory();
    const all = replicas();
    for (const number of [1, 2]) {
      const before = rowsOf(all[0]!);
      step(all, number);
      all[0]!.weights.take(2);
      if (number === 1) expect(rowsOf(all[0]!)).toEqual(before);
      all[0]!.weights.take(1);
      expect(rowsOf(all[0]!)).toEqual([0, 1, 1, 2, 2, 2].map(replica => 10 * number + replica));
    }
    dispose(all);
    expect(tf.memory().numTensors).toBe(numTensors);
  });

  it('is read where a step has no gradient of it', () => {
    const all = replicas();
    step(all, 1, false);
    for (const peer of [1, 2]) all[0]!.weights.take(peer);
    expect(rowsOf(all[0]!)).toEqual([10, 11, 11, 12, 12, 12]);
    dispose(all);
  });

  it('is read after a step that broke off when all rows of the next one are there', () => {
    const all = replicas();
    const [{ whole, stepped, weights }] = all as [Replicas[number]];
    step(all, 1);
    weights.take(1);
    // The weights are handed out anew.
    tf.tidy(() => whole.assign(tf.fill(SHAPE, 5)));
    stepped.refresh();
    weights.reset();
    expect([...stepped.variables[0]!.dataSync()]).toEqual(new Array(16).fill(5));
    step(all, 2);
    weights.take(1);
    expect(rowsOf(all[0]!)).toEqual(new Array(6).fill(5));
    weights.take(2);
    expect(rowsOf(all[0]!)).toEqual([20, 21, 21, 22, 22, 22]);
    dispose(all);
  });
});
