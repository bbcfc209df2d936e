/** Data parallelism: replicas with samples of their own train as plain `fit` does. */
import * as tf from '@tensorflow/tfjs';
import { ConfigurationError, pipeline } from 'millrace';
import { expect, it } from 'vitest';
import { describeOnBackends, useBackend } from '../helpers/backends.js';
import { expectTensorsClose } from '../helpers/compare.js';
import { branching, type ModelKind, mlp, normalized, regularized, shared } from '../helpers/models.js';
import { expectSameInference, expectSameTraining, start, type TrainingRun, withPair } from './support.js';

/** The last mini-batch has one sample: all replicas but the first go without. */
const uneven: TrainingRun = { sampleCount: 15, optimizer: 'momentum', seed: 5, fit: { batchSize: 7 } };

/** No replica's part of a mini-batch tells this of the whole. */
const withRatios: ModelKind = { ...mlp, metrics: ['precision', 'accuracy'] };

/** tfjs disposes what a dataset has yielded. */
function copies<T extends tf.TensorContainer>(value: T): T {
  return value instanceof tf.Tensor ? (tf.clone(value) as T) : value;
}

describeOnBackends('replicas', backend => {
  it.each([1, 2])('normalise each mini-batch as a whole, in %d stages', async stages => {
    const options = { replicas: 3, stages, workers: 3 * stages } as const;
    await withPair(normalized, backend, options, async (pair, trainer) => {
      expect(trainer.plan).toMatchObject({ replicas: 3, microBatches: 1 });
      await expectSameTraining(pair, trainer, uneven);
      await expectSameInference(pair, trainer, uneven);
      const before = await trainer.memory();
      await expectSameTraining(pair, trainer, uneven);
      expect(await trainer.memory()).toEqual(before);
    });
  });

  it.each(['micro-batch', 'deferred'] as const)(
    'leave the running statistics that one with all micro-batches leaves: %s',
    async batchNorm => {
      const trained: tf.Tensor[][] = [];
      for (const [replicas, microBatches] of [
        [1, 6],
        [3, 2],
      ] as const) {
        const options = { replicas, microBatches, stages: 1, workers: replicas, batchNorm } as const;
        await withPair(normalized, backend, options, async (pair, trainer) => {
          start(pair, 'sgd', 5);
          const { x, y } = normalized.samples(13, 5);
          await trainer.fit(x, y, { batchSize: 12, epochs: 2, shuffle: false });
          trained.push(pair.piped.getWeights().map(weight => weight.clone()));
          tf.dispose([x, y]);
        });
      }
      expectTensorsClose(trained[1]!, trained[0]!, 'weight');
      tf.dispose(trained);
    },
  );

  it.each([
    ['that are penalised', regularized],
    ['of tied weights', shared],
    ['of several outputs', branching],
    ['with metrics that are no means', withRatios],
  ])('%s', async (_, kind) => {
    await withPair(kind, backend, { replicas: 2, stages: 2, workers: 2 }, async (pair, trainer) => {
      await expectSameTraining(pair, trainer, uneven);
      await expectSameInference(pair, trainer, uneven);
    });
  });

  it('sum up over as many replicas as a mini-batch reaches, however that changes', async () => {
    // 8 rows reach all four, 2 rows half of them; running ahead, the others must not join in the sum of those two.
    const sizes = [8, 2, 8, 8, 2, 2, 8, 1, 8];
    for (const kind of [withRatios, normalized]) {
      await withPair(kind, backend, { replicas: 4 }, async (pair, trainer) => {
        start(pair, 'sgd', 5);
        const batches = sizes.map((size, seed) => {
          const { x: xs, y: ys } = kind.samples(size, seed + 1);
          return { xs, ys };
        });
        const args = { epochs: 2, verbose: 0 } as const;
        const dataset = () =>
          tf.data.array(batches.map(({ xs, ys }) => ({ xs: copies(xs), ys: copies(ys) })));
        const expected = await pair.plain.fitDataset(dataset() as never, args);
        const actual = await trainer.fitDataset(dataset() as never, args);
        expect(Object.keys(actual.history)).toEqual(Object.keys(expected.history));
        expectTensorsClose(pair.piped.getWeights(), pair.plain.getWeights(), 'weight');
        await trainer.evaluateDataset(dataset() as never).then(tf.dispose);
        tf.dispose(batches);
      });
    }
  });

  it('keep the optimizer of the wrapped model whole', async () => {
    await withPair(mlp, backend, { replicas: 3 }, async (pair, trainer) => {
      start(pair, 'adam', 5);
      const { x, y } = mlp.samples(12, 5);
      const args = { batchSize: 6, shuffle: false, verbose: 0 } as const;
      await trainer.fit(x, y, args);
      // Plain training goes on from the slots that the replicas kept shares of.
      await pair.piped.fit(x, y, args);
      await trainer.fit(x, y, args);
      await pair.plain.fit(x, y, { ...args, epochs: 3 });
      expectTensorsClose(pair.piped.getWeights(), pair.plain.getWeights(), 'weight', 1e-4);
      tf.dispose([x, y]);
    });
  });
});

it.each<[string, () => tf.layers.Layer[], RegExp]>([
  [
    'a stateful layer',
    () => [
      tf.layers.lstm({ units: 2, stateful: true, batchInputShape: [4, 3, 2], name: 'memory' }),
      tf.layers.dense({ units: 1 }),
    ],
    /'replicas' is 2, but layer 'memory' is stateful/,
  ],
])('%s refuses replicas by name', async (_, layers, message) => {
  await useBackend('cpu');
  const model = tf.sequential({ layers: layers() });
  model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
  const refused = pipeline(model, { backend: 'cpu', replicas: 2 });
  await expect(refused).rejects.toThrow(message);
  await expect(refused).rejects.toBeInstanceOf(ConfigurationError);
  model.dispose();
});

/** Counts its calls in a weight of its own. */
class Counting extends tf.layers.Layer {
  static readonly className = 'Counting';
  #count: tf.LayerVariable | undefined;

  override build(): void {
    this.#count = this.addWeight('count', [1], 'float32', tf.initializers.zeros(), undefined, false);
    this.built = true;
  }

  override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
    this.#count!.write(tf.tidy(() => tf.add(this.#count!.read(), 1)));
    return tf.clone(Array.isArray(inputs) ? inputs[0]! : inputs);
  }
}
tf.serialization.registerClass(Counting);

it('a layer that changes weights of its own refuses them by name', async () => {
  await useBackend('cpu');
  const model = tf.sequential({
    layers: [tf.layers.dense({ units: 2, inputShape: [2] }), new Counting({ name: 'counting' })],
  });
  model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
  const refused = pipeline(model, { backend: 'cpu', replicas: 2 });
  await expect(refused).rejects.toThrow("layer 'counting' changes weights of its own while it is trained");
  model.dispose();
});

it('an optimizer whose slots cannot be read keeps the first plan', async () => {
  await useBackend('cpu');
  const model = mlp.build();
  model.compile({ optimizer: 'adamax', loss: mlp.loss });
  const trainer = await pipeline(model, { backend: 'cpu', workers: 2, batchSize: 1_000_000 });
  expect(trainer.plan).toMatchObject({ replicas: 2, isSettled: true });
  await trainer.close();
  model.dispose();
});

it('more replicas than workers are refused', async () => {
  await useBackend('cpu');
  const model = mlp.build();
  model.compile({ optimizer: 'sgd', loss: mlp.loss });
  const refused = pipeline(model, { backend: 'cpu', replicas: 3, workers: 2 });
  await expect(refused).rejects.toThrow("Option 'replicas' is 3, but there are 2 workers");
  model.dispose();
});
