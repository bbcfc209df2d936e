/** Runs one random job both ways and holds the results against each other. */
import * as tf from '@tensorflow/tfjs';
import type { PipelinedModel, PipelineOptions } from 'millrace';
import { cutPoints, readGraph } from '#internal/model/index.js';
import { openTrainer } from '#internal/pipeline.js';
import {
  disposeOptimizer,
  disposeRecurrentState,
  innerLayers,
  type Layer,
} from '#internal/tfjs/internals.js';
import type { BackendName } from '../../helpers/backends.js';
import type { CheckedShelf } from '../../helpers/checked-shelf.js';
import { plainScores } from '../support.js';
import { buildModel, drawSamples, start } from './build.js';
import { type Differences, ResultApart } from './differences.js';
import { asList, makeOracle, train } from './oracle.js';
import { movedBy, nudgeWeights, SENSITIVE_PART, trainAgain } from './sensitivity.js';
import { type CaseSpec, isBatchNormalized } from './spec.js';

/** One for all jobs, so that their trainers can share workers. */
const SEED = 20;

/** Throws where the pipeline's numbers are not those of plain tfjs. */
export async function runCase(
  job: CaseSpec,
  backend: BackendName,
  differences: Differences,
  threads: CheckedShelf,
): Promise<void> {
  const before = tf.memory().numTensors;
  const piped = buildModel(job.model);
  start(piped, job);
  const oracle = makeOracle(job, SEED);
  const samples = drawSamples(job.model, job.data.sampleCount, job.data.seed);
  const x = samples.x as tf.Tensor[];
  const y = samples.y as tf.Tensor[];
  try {
    const expected = await train(oracle, job, x, y).catch(refusedByTfjs);
    const options = { backend, seed: SEED, ...planOptions(job, piped) };
    const trainer = await openTrainer(piped, options, { threads });
    try {
      const { batchSize, epochs } = job.data;
      const first = copyWeights(piped);
      const { history } = await trainer.fit(x, y, { batchSize, epochs, shuffle: false, verbose: 0 });
      try {
        differences.expectHistory(history as typeof expected, expected, job);
        differences.expectWeights(piped, oracle.model, first, job);
      } catch (error) {
        if (!(error instanceof ResultApart)) throw error;
        const nudged = makeOracle(job, SEED);
        nudgeWeights(nudged.model);
        const moved = movedBy(
          error,
          { logs: expected, model: oracle.model },
          await trainAgain(nudged, job, x, y),
        );
        disposeModel(nudged.model);
        if (moved < error.apart / SENSITIVE_PART) throw error;
        differences.countTooSensitive();
      }
      await compareInference(job, trainer, oracle.model, differences);
    } finally {
      await trainer.close();
    }
  } finally {
    tf.dispose([...x, ...y]);
    for (const model of [piped, oracle.model]) disposeModel(model);
  }
  const left = tf.memory().numTensors - before;
  if (left > 0) throw new Error(`${left} tensors were left behind in the main thread`);
}

/** Then the generator is at fault: it must know what tfjs can do. */
function refusedByTfjs(error: Error): never {
  throw new Error(`plain tfjs cannot train this model: ${error.message}`, { cause: error });
}

/** Both at the same weights, so that what training has lost to rounding does not count again. */
async function compareInference(
  job: CaseSpec,
  trainer: PipelinedModel,
  plain: tf.LayersModel,
  differences: Differences,
): Promise<void> {
  tf.tidy(() => plain.setWeights(trainer.model.getWeights()));
  const { sampleCount, seed, batchSize } = job.data;
  const { x, y } = drawSamples(job.model, sampleCount + 1, seed + 1);
  const args = { batchSize: batchSize + 2 };
  const scores = asList(await trainer.evaluate(x, y, args));
  const expectedScores = plainScores(plain, x, y, args);
  const outputs = asList(await trainer.predict(x, args));
  const expectedOutputs = asList(plain.predict(x, args));
  differences.expectTensors('score', scores, expectedScores);
  differences.expectTensors('output', outputs, expectedOutputs);
  tf.dispose([x, y, scores, expectedScores, outputs, expectedOutputs]);
}

function planOptions({ plan, model, batchNorm }: CaseSpec, piped: tf.LayersModel): PipelineOptions {
  const { replicas, microBatches, schedule, recompute } = plan;
  const workers = replicas * plan.workers;
  const graph = readGraph(piped);
  const points = cutPoints(graph);
  const wanted = points.length === 0 ? [] : plan.cuts.map(cut => points[cut % points.length]!);
  const cuts = [...new Set(wanted)].sort((a, b) => a - b);
  // A name stands for a layer's first call, so a cut before a later one cannot be named.
  const names = cuts
    .map(cut => graph.layers[graph.nodes[cut]!.layer]!)
    .filter(({ nodes }, index) => nodes[0] === cuts[index])
    .map(({ name }) => name);
  const where =
    plan.partition === 'names' && names.length > 0
      ? { partition: names }
      : ({
          partition: plan.partition === 'parameters' ? 'parameters' : 'uniform',
          stages: cuts.length + 1,
        } as const);
  const normalised = isBatchNormalized(model) ? { batchNorm } : {};
  return { ...where, ...normalised, workers, replicas, microBatches, schedule, recompute };
}

function copyWeights(model: tf.LayersModel): Float32Array[] {
  return model.weights.map(weight => Float32Array.from((weight.read() as tf.Tensor).dataSync()));
}

function disposeModel(model: tf.LayersModel): void {
  disposeOptimizer(model.optimizer);
  for (const layer of model.layers) forgetMasks(layer);
  // Not `model.dispose()`, which keeps the weights of layers that are called more than once.
  for (const weight of model.weights) (weight.read() as tf.Variable).dispose();
}

function forgetMasks(layer: Layer): void {
  disposeRecurrentState(layer);
  for (const inner of innerLayers(layer)) forgetMasks(inner);
}
