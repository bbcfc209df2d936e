import * as tf from '@tensorflow/tfjs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import '#internal/backends/index.js';
import { buildModel, LAYER_CASES, type LayerCase } from '../../helpers/layer-cases.js';
import { allocations, expectClose, use } from './both-backends.js';

const BATCH_SIZE = 4;
const STEPS = 2;
/** Looser than for one kernel: two steps of forward, backward and update through several of them. */
const WEIGHT_ERROR = 1e-4;

interface Trained {
  readonly weights: { readonly name: string; readonly values: Float32Array | Int32Array | Uint8Array }[];
  readonly losses: number[];
}

/** Deterministic numbers in [0, 1) in place of `Math.random`, from which tfjs draws what has no seed. */
function stubRandom(): void {
  let state = 12345;
  vi.spyOn(Math, 'random').mockImplementation(() => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return state / 0x80000000;
  });
}

/** Fits a fresh model for one epoch of two steps from weights that depend on nothing but the case. */
async function train(layerCase: LayerCase, backend: 'cpu' | 'wasm'): Promise<Trained> {
  await use(backend);
  const before = allocations();
  stubRandom();
  const model = buildModel(layerCase);
  const initial = model
    .getWeights()
    .map((weight, index) =>
      tf.randomUniform(weight.shape, index % 2 === 0 ? -0.6 : 0.1, 0.6, 'float32', index + 1),
    );
  model.setWeights(initial);
  const { inputShape, integersBelow, batchSize = BATCH_SIZE } = layerCase;
  const samples = STEPS * batchSize;
  const x = tf.tidy(() => {
    const shape = [samples, ...inputShape];
    if (integersBelow === undefined) return tf.randomUniform(shape, -1, 1, 'float32', 11);
    return tf.randomUniform(shape, 0, integersBelow, 'float32', 11).floor();
  });
  const y = tf.randomUniform([samples, 2], -1, 1, 'float32', 12);
  stubRandom();
  const history = await model.fit(x, y, { epochs: 1, batchSize, shuffle: false, verbose: 0 });
  const trained = {
    weights: model.weights.map(weight => ({ name: weight.originalName, values: weight.read().dataSync() })),
    losses: history.history['loss'] as number[],
  };
  tf.dispose([x, y, initial]);
  model.dispose();
  model.optimizer.dispose();
  if (backend === 'wasm') expect(allocations().tensors - before.tensors).toBeLessThanOrEqual(LEFT_BY_TFJS);
  return trained as Trained;
}

/** Scalars that tfjs itself keeps for ever: the SGD learning rate's clone and constants made on first use. */
const LEFT_BY_TFJS = 8;

describe('every layer of tfjs-layers trains on wasm as on cpu', () => {
  beforeEach(stubRandom);
  afterEach(() => vi.restoreAllMocks());

  it.each(
    LAYER_CASES.map(layerCase => [`${layerCase.className} ${layerCase.variant}`.trim(), layerCase] as const),
  )('%s', async (_, layerCase) => {
    const expected = await train(layerCase, 'cpu');
    const actual = await train(layerCase, 'wasm');
    expectClose(actual.losses, expected.losses, WEIGHT_ERROR, 'loss');
    expect(actual.weights.length).toBe(expected.weights.length);
    for (const [index, { name, values }] of expected.weights.entries()) {
      expectClose(actual.weights[index]?.values ?? [], values, WEIGHT_ERROR, name);
    }
  });
});
