/**
 * What the numbers must be: plain tfjs in this thread. Two of its habits are taken out first, both listed in
 * docs/differences.md: random layers draw from the same counter-based generator as in the workers, and a mask reaches only
 * the layers that it belongs to.
 */
import * as tf from '@tensorflow/tfjs';
import { readGraph } from '#internal/model/index.js';
import { splitRows } from '#internal/scheduler/driver/mini-batch.js';
import { RandomContext, useCounterRandom } from '#internal/stages/random/index.js';
import { compiled, regularizationLosses } from '#internal/tfjs/internals.js';
import { buildModel, start } from './build.js';
import { type CaseSpec, isBatchNormalized } from './spec.js';

export type Logs = Readonly<Record<string, readonly number[]>>;

/** A model that draws as a trainer with this seed does. `begin` it before each forward pass. */
export interface Oracle {
  readonly model: tf.LayersModel;
  readonly random: RandomContext;
}

export function makeOracle(job: CaseSpec, seed: number): Oracle {
  const model = buildModel(job.model);
  start(model, job);
  const random = new RandomContext(seed);
  for (const { layer, index } of readGraph(model).layers) useCounterRandom(layer, String(index), random);
  keepStrayMasksOut(model);
  return { model, random };
}

/**
 * tfjs passes a mask that it has met once to every later layer whose own input has none. Here a call gets the mask that was
 * computed with its first input: a layer may be called once with a mask and once without.
 */
function keepStrayMasksOut(model: tf.LayersModel): void {
  const masks = new WeakMap<tf.Tensor, unknown>();
  for (const layer of model.layers) {
    const apply = layer.apply.bind(layer) as typeof layer.apply;
    const computeMask = layer.computeMask.bind(layer) as typeof layer.computeMask;
    let outputs: tf.Tensor[] = [];
    layer.apply = (inputs, kwargs) => {
      const [first] = asList(inputs as tf.Tensor | tf.Tensor[]);
      outputs = [];
      const made = apply(inputs, { ...(kwargs as object), mask: masks.get(first!) });
      outputs = asList(made as tf.Tensor | tf.Tensor[]);
      return made;
    };
    // tfjs computes the mask of a call right after it (and once within, without the mask that it was given).
    layer.computeMask = (inputs, mask) => {
      const made = computeMask(inputs, mask) as tf.Tensor | tf.Tensor[] | null;
      for (const [index, own] of asList(made).entries()) {
        const output = outputs[index];
        if (own && output) masks.set(output, own);
      }
      return made as tf.Tensor;
    };
  }
}

/**
 * Trains plainly; what tfjs cannot do is spelt out with `variableGrads`: batch norm over micro-batches, and outputs of
 * different ranks, whose losses tfjs adds up before it takes their means.
 */
export async function train(oracle: Oracle, job: CaseSpec, x: tf.Tensor[], y: tf.Tensor[]): Promise<Logs> {
  const { plan, model, batchNorm } = job;
  const parts = plan.replicas * plan.microBatches;
  const inParts = isBatchNormalized(model) && batchNorm === 'micro-batch' && parts > 1;
  const lossShapes = new Set(model.outputs.map(({ shape }) => String(shape.slice(0, -1))));
  if (!inParts && lossShapes.size === 1) return trainPlainly(oracle, job, x, y);
  return trainInParts(oracle, job, inParts ? parts : 1, x, y);
}

async function trainPlainly(
  { model, random }: Oracle,
  { data: { batchSize, epochs } }: CaseSpec,
  x: tf.Tensor[],
  y: tf.Tensor[],
): Promise<Logs> {
  let step = 0;
  const { history } = await model.fit(x, y, {
    batchSize,
    epochs,
    shuffle: false,
    verbose: 0,
    yieldEvery: 'never',
    callbacks: { onBatchBegin: async () => random.begin(step++, 0) },
  });
  return history as Logs;
}

/** As GPipe does: each micro-batch is normalised by itself, and its gradient counts by its share of the samples. */
function trainInParts(
  { model, random }: Oracle,
  { data: { batchSize, epochs } }: CaseSpec,
  microBatches: number,
  x: tf.Tensor[],
  y: tf.Tensor[],
): Logs {
  const { lossFunctions, metricsTensors, collectedTrainableWeights } = compiled(model);
  const variables = collectedTrainableWeights!.map(weight => weight.read() as tf.Variable);
  const names = ['loss', ...model.metricsNames.slice(1)];
  const logs: Record<string, number[]> = Object.fromEntries(names.map(name => [name, []]));
  const sampleCount = x[0]!.shape[0]!;
  let step = 0;
  for (let epoch = 0; epoch < epochs; epoch++) {
    const sums = names.map(() => 0);
    for (let first = 0; first < sampleCount; first += batchSize, step++) {
      const rows = Math.min(batchSize, sampleCount - first);
      const values = tf.tidy(() => {
        const gradients: tf.NamedTensorMap = {};
        const add = (partial: tf.NamedTensorMap): void => {
          for (const [name, gradient] of Object.entries(partial)) {
            if (gradient === null) continue;
            gradients[name] = gradients[name] === undefined ? gradient : tf.add(gradients[name]!, gradient);
          }
        };
        const outputs: tf.Tensor[][] = [];
        const lossSums = model.outputs.map(() => 0);
        let start = 0;
        for (const part of splitRows(rows, Math.ceil(rows / microBatches))) {
          random.begin(step, start);
          const slice = (tensor: tf.Tensor): tf.Tensor => tf.slice(tensor, first + start, part);
          const targets = y.map(slice);
          const { grads } = tf.variableGrads(() => {
            const made = asList(model.apply(x.map(slice), { training: true }) as tf.Tensor | tf.Tensor[]);
            outputs.push(made.map(tensor => tf.keep(tensor)));
            const losses = made.map((output, index) =>
              tf.mean(lossFunctions![index]!(targets[index]!, output)),
            );
            for (const [index, loss] of losses.entries()) lossSums[index]! += loss.dataSync()[0]! * part;
            const share = tf.mul(tf.addN(losses), part / rows) as tf.Scalar;
            // Weight penalties count once a mini-batch.
            return start > 0 ? share : tf.addN([share, ...regularizationLosses(model)]);
          }, variables);
          add(grads);
          start += part;
        }
        const penalties = tf.tidy(() => regularizationLosses(model).map(loss => loss.dataSync()[0]!));
        const whole = model.outputs.map((_, index) =>
          tf.concat(
            outputs.map(made => made[index]!),
            0,
          ),
        );
        // With several outputs their losses stand before the metrics.
        const metrics = metricsTensors!.slice(y.length > 1 ? y.length : 0).map(([metric, output]) => {
          const target = tf.slice(y[output]!, first, rows);
          return tf.mean(metric(target, whole[output]!)).dataSync()[0]!;
        });
        tf.dispose(outputs);
        model.optimizer.applyGradients(gradients);
        const losses = lossSums.map(sum => sum / rows);
        const total = [...losses, ...penalties].reduce((sum, loss) => sum + loss, 0);
        return [total, ...(losses.length > 1 ? losses : []), ...metrics];
      });
      for (const [index, value] of (values as unknown as number[]).entries()) sums[index]! += value * rows;
    }
    for (const [index, name] of names.entries()) logs[name]!.push(sums[index]! / sampleCount);
  }
  return logs;
}

export function asList<T>(value: T | T[]): T[] {
  return Array.isArray(value) ? value : [value];
}
