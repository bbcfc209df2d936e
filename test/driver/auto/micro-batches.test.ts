/** The number of micro-batches, found in training where stages are asked for: the same numbers, whatever is tried. */
import * as tf from '@tensorflow/tfjs';
import { expect, it } from 'vitest';
import { describeOnBackends, useBackend } from '../../helpers/backends.js';
import { expectTensorsClose } from '../../helpers/compare.js';
import { seedWeights, uniform } from '../../helpers/data.js';
import { withTrainer } from '../../helpers/trainer.js';

const BATCH_SIZE = 32;
const STEPS = 40;
/** As often as it takes: a change of plans must be worth a tenth of what was trained. */
const MOST_FITS = 200;

function chain(): tf.LayersModel {
  const { layers } = tf;
  const dense = () => layers.dense({ units: 24, activation: 'tanh' });
  const model = tf.sequential({
    layers: [layers.dense({ units: 24, inputShape: [16], activation: 'tanh' }), dense(), dense(), dense()],
  });
  seedWeights(model, 5);
  model.compile({ optimizer: tf.train.momentum(0.001, 0.5), loss: 'meanSquaredError' });
  return model;
}

describeOnBackends('with two stages asked for', name => {
  const train = async (
    options: object,
    use: (training: {
      readonly trainOnce: () => Promise<unknown>;
      readonly model: tf.LayersModel;
      readonly trainer: Parameters<Parameters<typeof withTrainer>[2]>[0];
    }) => Promise<void>,
  ): Promise<void> => {
    await useBackend(name);
    const model = chain();
    const [x, y] = [uniform([BATCH_SIZE * STEPS, 16], 1), uniform([BATCH_SIZE * STEPS, 24], 2)];
    const args = { batchSize: BATCH_SIZE, epochs: 1, shuffle: false, verbose: 0 } as const;
    try {
      const asked = { backend: name, stages: 2, batchSize: BATCH_SIZE, cache: false, ...options };
      await withTrainer(model, asked, trainer =>
        use({ trainOnce: () => trainer.fit(x, y, args), model, trainer }),
      );
    } finally {
      model.dispose();
      tf.dispose([x, y]);
    }
  };

  it('other numbers of micro-batches are tried in training, which goes on as it would have', async () => {
    let fits = 0;
    let found: tf.Tensor[] = [];
    await train({}, async ({ trainOnce, model, trainer }) => {
      expect(trainer.plan.isSettled).toBe(false);
      for (; fits < MOST_FITS && !trainer.plan.isSettled; fits++) await trainOnce();
      const { candidates, isSettled, microBatches } = trainer.plan;
      expect(isSettled).toBe(true);
      expect(candidates.length).toBeGreaterThan(1);
      expect(new Set(candidates.map(({ stages, replicas }) => `${stages} ${replicas}`))).toEqual(
        new Set(['2 1']),
      );
      const counts = candidates.map(candidate => candidate.microBatches);
      expect(new Set(counts).size).toBe(counts.length);
      const [first] = candidates;
      expect(first!.measuredMs).toBeGreaterThan(0);
      expect(candidates.find(({ isChosen }) => isChosen)!.microBatches).toBe(microBatches);
      found = model.getWeights().map(weight => tf.clone(weight));
    });
    await train({ microBatches: 1, partition: 'uniform' }, async ({ trainOnce, model, trainer }) => {
      expect(trainer.plan).toMatchObject({ isSettled: true, candidates: [] });
      for (let times = 0; times < fits; times++) await trainOnce();
      expectTensorsClose(found, model.getWeights(), 'weight', 1e-4);
    });
    tf.dispose(found);
  });

  it('nothing is tried where the number is asked for, too', async () => {
    await train({ microBatches: 2, partition: 'uniform' }, async ({ trainOnce, trainer }) => {
      await trainOnce();
      expect(trainer.plan).toMatchObject({ isSettled: true, candidates: [], microBatches: 2 });
    });
  });
});
