/** Small models, data and trainers for the tests of the public face. Everything random is seeded. */
import * as tf from '@tensorflow/tfjs';
import { type PipelinedModel, type PipelineOptions, pipeline } from 'millrace';
import { afterEach, expect } from 'vitest';

export type BackendOption = 'tensorflow' | 'wasm' | 'cpu';

/** Engines to test with: set MILLRACE_TEST_BACKENDS to leave some out. */
export const BACKENDS = (process.env['MILLRACE_TEST_BACKENDS'] ?? 'tensorflow,wasm,cpu').split(
  ',',
) as BackendOption[];

export const FEATURES = 6;
export const CLASSES = 3;

/** Two stages on the cpu engine, cut in the middle, in four micro-batches: starts in a second. */
export const TWO_STAGES = {
  backend: 'cpu',
  workers: 2,
  stages: 2,
  microBatches: 4,
  partition: 'uniform',
  seed: 1,
} as const satisfies PipelineOptions;

export const initializer = (seed: number) => tf.initializers.glorotUniform({ seed });

/** A built classifier with four layers, `hidden0` … `hidden2` and `head`; every call gives the same weights. */
export function newClassifier(): tf.Sequential {
  const layers = [8, 8, 8].map((units, index) =>
    tf.layers.dense({
      name: `hidden${index}`,
      units,
      activation: 'tanh',
      kernelInitializer: initializer(index + 1),
      ...(index === 0 ? { inputShape: [FEATURES] } : {}),
    }),
  );
  const head = tf.layers.dense({
    name: 'head',
    units: CLASSES,
    activation: 'softmax',
    kernelInitializer: initializer(9),
  });
  return tf.sequential({ name: 'classifier', layers: [...layers, head] });
}

export function compile(model: tf.LayersModel, args: Partial<tf.ModelCompileArgs> = {}): void {
  model.compile({
    optimizer: tf.train.momentum(0.1, 0.9),
    loss: 'categoricalCrossentropy',
    metrics: ['accuracy'],
    ...args,
  });
}

export function compiledClassifier(args: Partial<tf.ModelCompileArgs> = {}): tf.Sequential {
  const model = newClassifier();
  compile(model, args);
  return model;
}

/** Samples that can be told apart: the class is the largest of the first three features. */
export function samples(count: number, seed = 5): { readonly x: tf.Tensor2D; readonly y: tf.Tensor2D } {
  const x = tf.randomNormal<tf.Rank.R2>([count, FEATURES], 0, 1, 'float32', seed);
  const y = tf.tidy(() => tf.oneHot(tf.argMax(tf.slice(x, [0, 0], [-1, CLASSES]), 1), CLASSES).toFloat());
  return { x, y: y as tf.Tensor2D };
}

const opened: PipelinedModel[] = [];

/** A trainer that is closed after the test. */
export async function open(model: tf.LayersModel, options: PipelineOptions = {}): Promise<PipelinedModel> {
  const trainer = await pipeline(model, { ...TWO_STAGES, ...options });
  opened.push(trainer);
  return trainer;
}

afterEach(async () => {
  await Promise.all(opened.splice(0).map(trainer => trainer.close()));
});

/** The error of a call that must fail. */
export async function refusal(call: () => Promise<unknown>): Promise<Error & Record<string, unknown>> {
  let value: unknown;
  try {
    value = await call();
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
    return error as Error & Record<string, unknown>;
  }
  throw new Error(`expected a refusal, but got ${String(value)}`);
}

export function weightsOf(model: tf.LayersModel): Float32Array[] {
  return model.getWeights().map(weight => weight.dataSync<'float32'>().slice());
}

/** ‖a − b‖₂ ≤ 1e-5·‖b‖₂ + 1e-6 for each tensor. */
export function expectSameWeights(
  actual: readonly Float32Array[],
  expected: readonly Float32Array[],
  relative = 1e-5,
): void {
  expect(actual.map(({ length }) => length)).toEqual(expected.map(({ length }) => length));
  for (const [index, reference] of expected.entries()) {
    const difference = reference.map((value, position) => value - actual[index]![position]!);
    expect(norm(difference), `weight ${index}`).toBeLessThanOrEqual(relative * norm(reference) + 1e-6);
  }
}

/** What tfjs notes on a model while it trains; its types call it protected. */
export function isTraining(model: tf.LayersModel): boolean {
  return (model as unknown as { isTraining: boolean }).isTraining;
}

export function norm(values: Float32Array): number {
  return Math.hypot(...values);
}
