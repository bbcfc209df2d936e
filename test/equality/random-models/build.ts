/** Builds a model from its spec, compiles it, and draws samples for it. */
import * as tf from '@tensorflow/tfjs';
import { integers, paddedTokens, seedWeights, uniform } from '../../helpers/data.js';
import type { Samples } from '../../helpers/models.js';
import { OPTIMIZERS } from '../support.js';
import {
  type CaseSpec,
  type InputSpec,
  type LayerSpec,
  type ModelSpec,
  type OutputSpec,
  VOCABULARY,
} from './spec.js';

type Layer = tf.layers.Layer;
type MakeLayer = (config: Record<string, unknown>) => Layer;

/** @param inputShape of one sample; a nested model needs it */
export function makeLayer(spec: LayerSpec, inputShape: readonly number[], name?: string): Layer {
  // tfjs writes into the configs that it is given.
  const config = { ...structuredClone(spec.config), ...(name === undefined ? {} : { name }) };
  if (spec.layer === 'model') return nestedModel(spec, inputShape, name);
  const make = (tf.layers as unknown as Record<string, MakeLayer>)[spec.layer]!;
  if (spec.inner === undefined) return make(config);
  const inner = spec.inner.map(part => makeLayer(part, []));
  return make(spec.layer === 'rnn' ? { ...config, cell: inner } : { ...config, layer: inner[0] });
}

/** A chain of layers; with `residual` its input is added to its output. */
function nestedModel({ inner = [], config }: LayerSpec, inputShape: readonly number[], name?: string): Layer {
  const input = tf.input({ shape: [...inputShape] });
  let value: tf.SymbolicTensor = input;
  for (const part of inner)
    value = makeLayer(part, value.shape.slice(1) as number[]).apply(value) as typeof value;
  if (config['residual'] === true) value = tf.layers.add().apply([value, input]) as typeof value;
  const model = tf.model({ inputs: input, outputs: value, ...(name === undefined ? {} : { name }) });
  if (config['trainable'] === false) model.trainable = false;
  return model;
}

export function buildModel({ inputs, calls, outputs }: ModelSpec): tf.LayersModel {
  const values = new Map<string, tf.SymbolicTensor>();
  const layers = new Map<string, Layer>();
  for (const { name, shape } of inputs) values.set(name, tf.input({ shape: [...shape], name }));
  for (const { name, of, make } of calls) {
    const read = of.map(value => values.get(value)!);
    const layer =
      'again' in make ? layers.get(make.again)! : makeLayer(make, read[0]!.shape.slice(1) as number[], name);
    layers.set(name, layer);
    values.set(name, layer.apply(read.length === 1 ? read[0]! : read) as tf.SymbolicTensor);
  }
  return tf.model({
    inputs: inputs.map(({ name }) => values.get(name)!),
    outputs: outputs.map(({ value }) => values.get(value)!),
  });
}

/** First weights from the seed, and a fresh optimizer. */
export function start(model: tf.LayersModel, { model: { outputs }, optimizer, data }: CaseSpec): void {
  seedWeights(model, data.seed);
  model.compile({
    optimizer: OPTIMIZERS[optimizer](),
    loss: outputs.map(({ loss }) => lossOf(loss)) as string[],
    metrics: Object.fromEntries(
      model.outputNames.map((name, index) => [name, [...outputs[index]!.metrics]]),
    ) as tf.ModelCompileArgs['metrics'] & object,
  });
}

const LOSS_FUNCTION = 'tf.losses.';

function lossOf(name: string): unknown {
  if (!name.startsWith(LOSS_FUNCTION)) return name;
  return tf.losses[name.slice(LOSS_FUNCTION.length) as 'huberLoss'];
}

export function drawSamples({ inputs, outputs }: ModelSpec, count: number, seed: number): Samples {
  return {
    x: inputs.map((input, index) => drawInput(input, count, seed + 10 * index)),
    y: outputs.map((output, index) => drawTargets(output, count, seed + 1000 + 10 * index)),
  };
}

function drawInput({ holds, shape }: InputSpec, count: number, seed: number): tf.Tensor {
  if (holds === 'numbers') return uniform([count, ...shape], seed);
  if (holds === 'tokens') return integers([count, ...shape], seed, 0, VOCABULARY);
  return paddedTokens(count, shape[0]!, VOCABULARY, seed);
}

function drawTargets({ targets, shape }: OutputSpec, count: number, seed: number): tf.Tensor {
  const full = [count, ...shape];
  const classes = shape[shape.length - 1]!;
  const labels = full.slice(0, -1);
  switch (targets) {
    case 'numbers':
      return uniform(full, seed);
    case 'counts':
      return integers(full, seed, 0, 4);
    case 'bits':
      return integers(full, seed, 0, 2);
    case 'signs':
      return tf.tidy(() => tf.sub(tf.mul(integers(full, seed, 0, 2), 2), 1));
    case 'class':
      return tf.tidy(() => tf.expandDims(integers(labels, seed, 0, classes), -1));
    case 'distribution':
      return tf.tidy(() => tf.softmax(uniform(full, seed)));
    case 'one-hot':
      return tf.tidy(() =>
        tf.cast(tf.oneHot(tf.cast(integers(labels, seed, 0, classes), 'int32'), classes), 'float32'),
      );
  }
}
