import * as fc from 'fast-check';
import { describe, it } from 'vitest';
import { describeOnBackends } from '../helpers/backends.js';
import { MODEL_KINDS } from '../helpers/models.js';
import { expectSameInference, expectSameTraining, type TrainingRun, withPair } from './support.js';

/** A trainer takes most of the time, so each drawn one trains several times. */
const plans = fc.record({
  stages: fc.integer({ min: 1, max: 4 }),
  workers: fc.integer({ min: 1, max: 3 }),
  schedule: fc.constantFrom('gpipe', '1f1b', 'zero-bubble'),
  microBatches: fc.integer({ min: 1, max: 8 }),
  recompute: fc.constantFrom('never', 'except-last', 'always'),
});

/** Batches that do not divide into micro-batches, samples that do not divide into batches, batches of one sample. */
const runs: fc.Arbitrary<TrainingRun> = fc.record({
  sampleCount: fc.integer({ min: 1, max: 26 }),
  optimizer: fc.constantFrom('sgd', 'momentum', 'nesterov'),
  seed: fc.integer({ min: 1, max: 1000 }),
  fit: fc.record({ batchSize: fc.integer({ min: 1, max: 13 }), epochs: fc.integer({ min: 1, max: 2 }) }),
});

describeOnBackends('fit, evaluate and predict equal plain ones', backend => {
  describe.each(MODEL_KINDS.map(kind => [kind.name, kind] as const))('of %s', (_, kind) => {
    it('for any plan, batch size, sample count and optimizer', async () => {
      await fc.assert(
        fc.asyncProperty(plans, fc.array(runs, { minLength: 2, maxLength: 2 }), async (plan, drawn) => {
          await withPair(kind, backend, plan, async (pair, trainer) => {
            for (const run of drawn) {
              await expectSameTraining(pair, trainer, run);
              await expectSameInference(pair, trainer, run);
            }
          });
        }),
        // A failing example is small already; trying smaller ones would take minutes.
        { numRuns: 2, endOnFailure: true },
      );
    });
  });
});
