import { expect, it } from 'vitest';
import { describeOnBackends } from '../helpers/backends.js';
import { mlp, recurrent, skipping } from '../helpers/models.js';
import { expectSameTraining, type TrainingRun, withPair } from './support.js';

/** Two full mini-batches that no number of micro-batches above 1 divides but 11, and a last one of 5 samples. */
const uneven: TrainingRun = {
  sampleCount: 27,
  optimizer: 'momentum',
  seed: 3,
  fit: { batchSize: 11 },
};

const PLANS = [
  { stages: 1, workers: 1, microBatches: 1, schedule: 'gpipe', recompute: 'always' },
  { stages: 1, workers: 1, microBatches: 8, schedule: '1f1b', recompute: 'except-last' },
  { stages: 2, workers: 2, microBatches: 3, schedule: '1f1b', recompute: 'never' },
  { stages: 2, workers: 2, microBatches: 8, schedule: 'gpipe', recompute: 'except-last' },
  { stages: 3, workers: 3, microBatches: 2, schedule: '1f1b', recompute: 'always' },
  { stages: 4, workers: 1, microBatches: 3, schedule: 'gpipe', recompute: 'never' },
  { stages: 4, workers: 2, microBatches: 5, schedule: '1f1b', recompute: 'always' },
  { stages: 4, workers: 4, microBatches: 4, schedule: 'gpipe', recompute: 'always' },
  { stages: 4, workers: 2, microBatches: 4, schedule: 'interleaved', recompute: 'never' },
  { stages: 5, workers: 2, microBatches: 3, schedule: 'interleaved', recompute: 'always' },
  { stages: 4, workers: 2, microBatches: 5, schedule: 'zb-v', recompute: 'never' },
  { stages: 5, workers: 3, microBatches: 2, schedule: 'zb-v', recompute: 'except-last' },
  { stages: 3, workers: 3, microBatches: 4, schedule: 'greedy', recompute: 'never' },
  { stages: 5, workers: 2, microBatches: 3, schedule: 'greedy', recompute: 'always' },
] as const;

const REPLICATED = [
  { replicas: 2, stages: 1, workers: 2, microBatches: 1, schedule: 'zero-bubble', recompute: 'never' },
  { replicas: 2, stages: 2, workers: 4, microBatches: 3, schedule: 'zero-bubble', recompute: 'never' },
  { replicas: 3, stages: 2, workers: 3, microBatches: 2, schedule: '1f1b', recompute: 'always' },
  // The last mini-batch has fewer samples than there are replicas.
  { replicas: 6, stages: 1, workers: 6, microBatches: 1, schedule: 'gpipe', recompute: 'never' },
] as const;

describeOnBackends('pipelined training equals plain fit', backend => {
  it.each([...PLANS.map(plan => ({ replicas: 1, ...plan })), ...REPLICATED])(
    'with $replicas replicas of $stages stages, $microBatches micro-batches, $schedule, recompute $recompute',
    async options => {
      await withPair(mlp, backend, options, async (pair, trainer) => {
        const { stages, schedule, ...rest } = options;
        expect(trainer.plan).toMatchObject({ ...rest, schedule: { name: schedule } });
        expect(trainer.plan.stages).toHaveLength(stages);
        await expectSameTraining(pair, trainer, uneven);
      });
    },
  );

  it('with replicas alone, of recurrent layers', async () => {
    await withPair(recurrent, backend, { replicas: 3 }, async (pair, trainer) => {
      expect(trainer.plan).toMatchObject({ replicas: 3, workers: 3, microBatches: 1 });
      await expectSameTraining(pair, trainer, uneven);
    });
  });

  it('of recurrent layers that are run again', async () => {
    await withPair(recurrent, backend, { stages: 3, microBatches: 4, recompute: 'always' }, (pair, trainer) =>
      expectSameTraining(pair, trainer, uneven),
    );
  });

  it('where a value skips two whole stages', async () => {
    const options = { partition: ['second', 'third', 'sum'], workers: 4, microBatches: 3 };
    await withPair(skipping, backend, options, async (pair, trainer) => {
      expect(trainer.plan.stages.map(({ layers }) => layers[0])).toEqual([
        expect.stringMatching(/^(input|first)/),
        'second',
        'third',
        'sum',
      ]);
      await expectSameTraining(pair, trainer, uneven);
    });
  });

  it.each(['auto', 'parameters'] as const)('where the cut is chosen by %s', async partition => {
    await withPair(mlp, backend, { partition, stages: 3, workers: 2, microBatches: 2 }, (pair, trainer) =>
      expectSameTraining(pair, trainer, uneven),
    );
  });

  it('when everything is left to the planner', async () => {
    const options = { stages: 'auto', workers: 'auto', microBatches: 'auto', partition: 'auto' } as const;
    await withPair(mlp, backend, options, (pair, trainer) => expectSameTraining(pair, trainer, uneven));
  });
});
