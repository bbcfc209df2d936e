/**
 * Freed slots are filled with NaN here. A tensor that goes on reading a slot after its release then gives NaN, where it
 * would else be right as long as nobody happens to write there.
 */
import { it } from 'vitest';
import { describeOnBackends } from '../helpers/backends.js';
import { MODEL_KINDS } from '../helpers/models.js';
import { poisonFreedSlots } from '../helpers/poison.js';
import { expectSameInference, expectSameTraining, withPair } from './support.js';

describeOnBackends('nothing reads a slot that was freed', backend => {
  poisonFreedSlots();

  const SCHEDULES = ['1f1b', 'gpipe', 'interleaved', 'zb-v'] as const;
  it.each(MODEL_KINDS.map((kind, index) => [kind.name, SCHEDULES[index % SCHEDULES.length]!, kind] as const))(
    'of %s under %s',
    async (_, schedule, kind) => {
      const recompute = schedule === 'gpipe' || schedule === 'zb-v' ? 'never' : 'except-last';
      const options = { stages: 4, workers: 2, microBatches: 4, schedule, recompute } as const;
      await withPair(kind, backend, options, async (pair, trainer) => {
        // At batch size 4 a micro-batch is one sample: gradients of biases are mere views of what was received.
        for (const batchSize of [4, 7]) {
          const run = { sampleCount: 15, optimizer: 'momentum', seed: 11, fit: { batchSize } } as const;
          await expectSameTraining(pair, trainer, run);
          await expectSameInference(pair, trainer, run);
        }
      });
    },
  );
});
