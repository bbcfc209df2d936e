/** Computes a layer and all its gradients twice, as tfjs does and lowered, from the same weights. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'vitest';
import type { FusedOperations } from '#internal/backends/index.js';
import { fusedOperations as onTensorflow } from '#internal/backends/tensorflow/fused/index.js';
import { fusedOperations as onHeap } from '#internal/backends/wasm/fused/index.js';
import { lowerLayer } from '#internal/stages/lowering/index.js';
import { expectTensorsClose } from '../../helpers/compare.js';
import { uniform } from '../../helpers/data.js';

/** Of the backends that have any. */
export const OPERATIONS: Readonly<Record<string, Partial<FusedOperations>>> = {
  tensorflow: onTensorflow,
  wasm: onHeap,
};

export interface LayerCase {
  readonly make: () => tf.layers.Layer;
  /** With the batch axis. */
  readonly shape: readonly number[];
  readonly input?: tf.Tensor;
  readonly training?: boolean;
  readonly seed?: number;
  /** Whether the input has a gradient; indices have none. */
  readonly isInteger?: boolean;
  readonly tolerance?: number;
  /** What is done to the one layer and not to the other; lowering, unless given. */
  readonly adapt?: (layer: tf.layers.Layer) => void;
}

interface Computed {
  readonly output: tf.Tensor;
  readonly gradients: tf.Tensor[];
  readonly weights: tf.Tensor[];
}

function variablesOf(layer: tf.layers.Layer): tf.Variable[] {
  return layer.trainableWeights.map(weight => weight.read() as tf.Variable);
}

function compute(
  layer: tf.layers.Layer,
  input: tf.Tensor,
  { training, isInteger, seed = 1 }: LayerCase,
): Computed {
  const variables = variablesOf(layer);
  const kwargs = { training: training ?? true };
  let output: tf.Tensor | undefined;
  const loss = (x: tf.Tensor): tf.Scalar => {
    const y = layer.apply([x], kwargs) as tf.Tensor;
    output = tf.keep(tf.clone(y));
    // Random weights of the outputs, so that no two elements have the same gradient.
    return tf.sum(tf.mul(y, uniform(y.shape, seed + 77)));
  };
  const free = isInteger ? undefined : tf.variable(input);
  const { grads } = tf.variableGrads(() => loss(free ?? input), free ? [...variables, free] : variables);
  const gradients = [...variables, ...(free ? [free] : [])].map(({ name }) => grads[name]!);
  // A copy: reading goes on after the next layer's call.
  return { output: output!, gradients, weights: layer.getWeights().map(weight => tf.clone(weight)) };
}

function lower(layer: tf.layers.Layer): void {
  lowerLayer(layer, OPERATIONS[tf.getBackend()]!);
}

/** @returns names of Millrace's kernels that ran, so that a test can tell a lowered layer from one that fell back */
export async function expectSameLayer(layerCase: LayerCase): Promise<string[]> {
  const { make, shape, seed = 1, tolerance = 2e-5, adapt = lower } = layerCase;
  const [plain, lowered] = [make(), make()];
  const input = layerCase.input ?? uniform(shape, seed, -2, 2);
  for (const layer of [plain, lowered]) layer.apply(input, { training: false });
  const weights = plain.getWeights().map((weight, index) => {
    const positive = plain.weights[index]!.name.includes('variance');
    return uniform(weight.shape, seed + 10 + index, positive ? 0.5 : -0.7, positive ? 1.5 : 0.7);
  });
  for (const layer of [plain, lowered]) layer.setWeights(weights);
  adapt(lowered);
  const expected = compute(plain, input, layerCase);
  let actual: Computed | undefined;
  const profile = await tf.profile(() => {
    actual = compute(lowered, input, layerCase);
  });
  expectTensorsClose([actual!.output], [expected.output], 'output', tolerance);
  expect(actual!.gradients).toHaveLength(expected.gradients.length);
  expectTensorsClose(actual!.gradients, expected.gradients, 'gradient', tolerance);
  expectTensorsClose(actual!.weights, expected.weights, 'weight after the call', tolerance);
  return [...new Set(profile.kernels.map(({ name }) => name))].filter(name => name.startsWith('Millrace'));
}
