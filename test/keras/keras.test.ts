/**
 * Models that Keras has saved and its converter has written: they load through the `file://` handler, predict what Keras
 * predicted, and train as plain tfjs trains them and as Keras itself did. `fixtures/README.md` says how they were made.
 */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import type { PipelineOptions } from 'millrace';
import { describe, expect, it } from 'vitest';
import { describeOnBackends } from '../helpers/backends.js';
import { expectClose, expectTensorsClose } from '../helpers/compare.js';
import { withTrainer } from '../helpers/trainer.js';

interface RecordedTensor {
  readonly shape: number[];
  readonly dtype: 'float32' | 'int32';
  readonly values: number[];
}

interface Recorded {
  /** Loss names as Keras and tfjs both know them. */
  readonly losses: string[];
  readonly x: RecordedTensor;
  readonly y: RecordedTensor[];
  readonly outputs: RecordedTensor[];
  /** The total loss, then the loss of each output if there are several. */
  readonly evaluated: number[];
  readonly training: { readonly batchSize: number; readonly learningRate: number; readonly losses: number[] };
}

/** Kernels of another library sum in another order, with exponentials of their own. */
const KERAS_TOLERANCE = 1e-4;

const FIXTURES = new URL('fixtures/', import.meta.url);

function load(name: string): Promise<tf.LayersModel> {
  return tf.loadLayersModel(`file://${fileURLToPath(new URL(`${name}/model.json`, FIXTURES))}`);
}

async function recordedBy(name: string): Promise<Recorded> {
  const path = new URL(`${name}/recorded.json`, FIXTURES);
  const { losses, ...rest } = JSON.parse(await readFile(path, 'utf8')) as Recorded;
  const inTfjs = {
    categorical_crossentropy: 'categoricalCrossentropy',
    mean_squared_error: 'meanSquaredError',
  };
  return { ...rest, losses: losses.map(loss => inTfjs[loss as keyof typeof inTfjs]) };
}

function toTensor({ values, shape, dtype }: RecordedTensor): tf.Tensor {
  return tf.tensor(values, shape, dtype);
}

function samplesOf({ x, y }: Recorded): { x: tf.Tensor; y: tf.Tensor[] } {
  return { x: toTensor(x), y: y.map(toTensor) };
}

function compile(model: tf.LayersModel, { losses, training }: Recorded): void {
  model.compile({ optimizer: tf.train.sgd(training.learningRate), loss: losses });
}

/** Batch norm trains as Keras does with whole mini-batches; the other model may be split as one likes. */
const MODELS: readonly [name: string, options: PipelineOptions][] = [
  ['images', { stages: 2, microBatches: 1 }],
  ['sequences', { stages: 3, microBatches: 2 }],
];

describeOnBackends('a model that Keras saved', backend => {
  describe.each(MODELS)('(%s)', (name, options) => {
    const piped: PipelineOptions = { backend, partition: 'uniform', ...options };

    it('predicts and scores what Keras did, plainly and as a pipeline', async () => {
      const recorded = await recordedBy(name);
      const model = await load(name);
      compile(model, recorded);
      const { x, y } = samplesOf(recorded);
      const expected = recorded.outputs.map(toTensor);
      const plain = [model.predict(x)].flat();
      expectTensorsClose(plain, expected, 'plain output', KERAS_TOLERANCE);
      await withTrainer(model, piped, async trainer => {
        const outputs = [await trainer.predict(x)].flat();
        expectTensorsClose(outputs, expected, 'output', KERAS_TOLERANCE);
        expectTensorsClose(outputs, plain, 'output beside plain tfjs');
        const scores = [await trainer.evaluate(x, y)].flat();
        expectClose(withoutPenalty(scores), lossesOfOutputs(recorded), 'score', KERAS_TOLERANCE);
        tf.dispose([outputs, scores]);
      });
      tf.dispose([x, y, expected, plain]);
      model.dispose();
    });

    it('goes on training as plain tfjs does, and as Keras did', async () => {
      const recorded = await recordedBy(name);
      const [plain, model] = [await load(name), await load(name)];
      for (const each of [plain, model]) compile(each, recorded);
      const { x, y } = samplesOf(recorded);
      const args = { batchSize: recorded.training.batchSize, epochs: 3, shuffle: false, verbose: 0 } as const;
      const expected = await plain.fit(x, y, args);
      await withTrainer(model, piped, async trainer => {
        const { history } = await trainer.fit(x, y, args);
        expectClose(history['loss'] as number[], expected.history['loss'] as number[], 'loss');
        expectClose(history['loss'] as number[], recorded.training.losses, 'loss in Keras', KERAS_TOLERANCE);
      });
      for (const [index, layer] of plain.layers.entries()) {
        const actual = model.layers[index]!.getWeights();
        expectTensorsClose(actual, layer.getWeights(), `weights of ${layer.name}, number`);
      }
      expect(model.layers.map(layer => layer.name)).toEqual(plain.layers.map(layer => layer.name));
      tf.dispose([x, y]);
      for (const each of [plain, model]) each.dispose();
    });
  });
});

/** The penalty of a regularizer is in Keras's total and not in that of tfjs's `evaluate`, so the outputs are compared. */
function lossesOfOutputs({ evaluated }: Recorded): number[] {
  return evaluated.length === 1 ? evaluated : evaluated.slice(1);
}

function withoutPenalty(scores: readonly tf.Tensor[]): number[] {
  const values = scores.map(score => score.dataSync()[0]!);
  return values.length === 1 ? values : values.slice(1);
}
