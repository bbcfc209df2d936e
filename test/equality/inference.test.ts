import * as tf from '@tensorflow/tfjs';
import { expect, it } from 'vitest';
import { describeOnBackends } from '../helpers/backends.js';
import { expectTensorsClose, tensorCount } from '../helpers/compare.js';
import { branching } from '../helpers/models.js';
import { asList, plainScores, withPair } from './support.js';

describeOnBackends('evaluate and predict', backend => {
  it('take inputs and targets by name, and leave no tensor behind', async () => {
    await withPair(branching, backend, { stages: 2, microBatches: 2 }, async ({ plain, piped }, trainer) => {
      const { x, y } = branching.samples(6, 3) as { x: tf.Tensor[]; y: tf.Tensor[] };
      const named = Object.fromEntries(piped.inputNames.map((name, index) => [name, x[index]!]));
      const targets = { amount: y[1]!, label: y[0]! };
      const args = { batchSize: 4 };
      const before = tensorCount();
      const outputs = asList(await trainer.predict(named, args));
      const scores = asList(await trainer.evaluate(named, targets, args));
      const expectedOutputs = asList(plain.predict(x, args));
      const expectedScores = plainScores(plain, x, y, args);
      expectTensorsClose(outputs, expectedOutputs, 'output');
      expectTensorsClose(scores, expectedScores, 'score');
      expect(scores).toHaveLength(piped.metricsNames.length);
      tf.dispose([outputs, scores, expectedOutputs, expectedScores]);
      expect(tensorCount()).toBe(before);
      tf.dispose([x, y]);
    });
  });

  it.each([
    { stages: 3, workers: 2, microBatches: 3, schedule: 'zero-bubble' },
    { stages: 4, workers: 2, microBatches: 3, schedule: 'interleaved' },
    { stages: 4, workers: 2, microBatches: 3, schedule: 'zb-v' },
  ] as const)(
    'agree with any batch size, larger than the data included, where stages lie as $schedule wants them',
    async options => {
      await withPair(branching, backend, options, async ({ plain }, trainer) => {
        const { x, y } = branching.samples(7, 4);
        for (const batchSize of [1, 3, 7, 32]) {
          const outputs = asList(await trainer.predict(x, { batchSize }));
          const scores = asList(await trainer.evaluate(x, y, { batchSize }));
          const expectedOutputs = asList(plain.predict(x, { batchSize }));
          expectTensorsClose(outputs, expectedOutputs, `output at batch size ${batchSize}`);
          const expectedScores = plainScores(plain, x, y, { batchSize });
          expectTensorsClose(scores, expectedScores, `score at batch size ${batchSize}`);
          tf.dispose([outputs, scores, expectedOutputs, expectedScores]);
        }
        tf.dispose([x, y]);
      });
    },
  );
});
