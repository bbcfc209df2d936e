/** Workers that throw, exit or hang: `fit` says where and why, soon, and the trainer can be used again. */
import * as tf from '@tensorflow/tfjs';
import { type PipelineOptions, StageError } from 'millrace';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  BACKENDS,
  expectSameWeights,
  isTraining,
  open,
  refusal,
  samples,
  weightsOf,
} from '../pipeline/helpers.js';
import { type Deed, recordEvents, sabotaged, saboteurModule, timeOf, withSentinel } from './helpers.js';

beforeAll(() => tf.setBackend('cpu'));

const { x, y } = samples(32);
/** Samples 20 and 21 are micro-batch 2 of the third mini-batch of 8 in four. */
const poisoned = withSentinel(x, 20);
const args = { batchSize: 8, shuffle: false, verbose: 0 } as const;

const openSabotaged = (deed: Deed, options: PipelineOptions = {}) =>
  open(sabotaged(deed), { setup: saboteurModule, stages: 'auto', partition: ['saboteur'], ...options });

/** The trainer trains as a fresh one does, from the weights that its model has now. */
async function expectUsable(trainer: Awaited<ReturnType<typeof open>>): Promise<void> {
  const twin = sabotaged('throw');
  trainer.model.setWeights(twin.getWeights());
  trainer.model.compile({ optimizer: tf.train.momentum(0.1, 0.9), loss: 'categoricalCrossentropy' });
  await trainer.fit(x, y, args);
  await twin.fit(x, y, args);
  expectSameWeights(weightsOf(trainer.model), weightsOf(twin));
}

describe('a layer that throws', () => {
  it.each(BACKENDS)(
    'makes fit reject with stage, layer, micro-batch, step and cause, on %s',
    async backend => {
      const trainer = await openSabotaged('throw', { backend });
      const events = recordEvents(trainer);
      const before = tf.memory().numTensors;
      const call = trainer.fit(poisoned, y, args);
      const error = await refusal(() => call);

      expect(error).toBeInstanceOf(StageError);
      expect(error).toMatchObject({
        name: 'StageError',
        code: 'MILLRACE_STAGE',
        stage: 1,
        worker: 1,
        layer: 'saboteur',
        microBatch: 2,
        step: 2,
        action: '1F2',
        cause: { name: 'RangeError', message: 'the sentinel was met' },
      });
      expect((error.cause as Error).stack).toContain('saboteur.mjs');
      expect(error.message).toMatch(/stage 1, layer 'saboteur', micro-batch 2, step 2.*the sentinel was met/);
      expect(events.at(-1)).toEqual({ kind: 'failure', error });
      expect(isTraining(trainer.model)).toBe(false);
      expect(tf.memory().numTensors).toBe(before);
      await expectUsable(trainer);
    },
  );

  it('does so within two seconds, wherever the others are', async () => {
    const trainer = await openSabotaged('throw', { schedule: 'gpipe' });
    expect(await timeOf(trainer.fit(withSentinel(x, 0), y, args))).toBeLessThan(2_000);
    expect(
      await timeOf(trainer.fit(poisoned, y, { ...args, callbacks: { onBatchEnd: () => {} } })),
    ).toBeLessThan(2_000);
  });

  it('leaves no tensors in the workers', async () => {
    const trainer = await openSabotaged('throw');
    await trainer.fit(x, y, args);
    const before = await trainer.memory();
    await refusal(() => trainer.fit(poisoned, y, args));
    await trainer.fit(x, y, args);
    expect(await trainer.memory()).toEqual(before);
  });

  it('in the first stage, of a single worker, is named as well', async () => {
    const trainer = await openSabotaged('throw', { workers: 1, stages: 1, partition: 'uniform' });
    const error = await refusal(() => trainer.fit(poisoned, y, args));
    expect(error).toMatchObject({ stage: 0, layer: 'saboteur', microBatch: 2, step: 2, worker: 0 });
  });

  it('leaves the wrapped model with weights that belong together', async () => {
    const trainer = await openSabotaged('throw');
    await refusal(() => trainer.fit(poisoned, y, { ...args, callbacks: { onBatchEnd: () => {} } }));
    const twin = sabotaged('throw');
    await twin.fit(tf.slice(x, 0, 16), tf.slice(y, 0, 16), args);
    expectSameWeights(weightsOf(trainer.model), weightsOf(twin));
  });

  it('leaves no slots of an optimizer that cannot be read: stages stood at different steps', async () => {
    const adamax = { optimizer: 'adamax', loss: 'categoricalCrossentropy' } as const;
    const model = sabotaged('throw');
    model.compile(adamax);
    const trainer = await open(model, { setup: saboteurModule, stages: 'auto', partition: ['middle'] });
    await refusal(() => trainer.fit(poisoned, y, args));
    const twin = sabotaged('throw');
    twin.setWeights(model.getWeights());
    twin.compile(adamax);
    await trainer.fit(x, y, args);
    await twin.fit(x, y, args);
    expectSameWeights(weightsOf(model), weightsOf(twin));
  });

  it('in a later epoch leaves the weights and the optimizer of the epoch before, without any callback', async () => {
    const trainer = await openSabotaged('throw');
    let epochs = 0;
    async function* batches(): AsyncGenerator<{ xs: tf.Tensor; ys: tf.Tensor }> {
      const data = epochs++ === 0 ? x : poisoned;
      for (let row = 0; row < 32; row += 8) yield { xs: tf.slice(data, row, 8), ys: tf.slice(y, row, 8) };
    }
    expect(await refusal(() => trainer.fitDataset(batches, { epochs: 3 }))).toBeInstanceOf(StageError);
    expect(epochs).toBe(2);
    const twin = sabotaged('throw');
    await twin.fit(x, y, args);
    expectSameWeights(weightsOf(trainer.model), weightsOf(twin));
    const slotsOf = async ({ optimizer }: tf.LayersModel) =>
      (await optimizer.getWeights()).map(({ tensor }) => Float32Array.from(tensor.dataSync()));
    expectSameWeights(await slotsOf(trainer.model), await slotsOf(twin));
  });

  it('every time makes fit reject every time', async () => {
    const trainer = await openSabotaged('throw');
    for (const _ of [1, 2, 3]) {
      expect(await refusal(() => trainer.fit(poisoned, y, args))).toMatchObject({ layer: 'saboteur' });
    }
    await expectUsable(trainer);
  });
});

describe('a worker that dies', () => {
  it.each<Deed>(['exit', 'throw later', 'reject'])(
    'by way of %s makes fit reject within two seconds, and is replaced for the next call',
    async deed => {
      const trainer = await openSabotaged(deed);
      const start = performance.now();
      // Weights are read after every batch, so the worker turns its event loop, where "later" happens, before the end.
      const callbacks = { onBatchEnd: () => {} };
      const error = await refusal(() => trainer.fit(poisoned, y, { ...args, callbacks }));
      expect(performance.now() - start).toBeLessThan(2_000);
      expect(error).toBeInstanceOf(StageError);
      expect(error['worker']).toBe(1);
      const why = { exit: /exit|ended/, 'throw later': /thrown later/, reject: /rejected later/ };
      expect(error.message).toMatch(why[deed as keyof typeof why]);
      expect(error.cause).toBeInstanceOf(Error);
      await expectUsable(trainer);
    },
  );

  it('in a single-stage trainer is noticed too', async () => {
    const trainer = await openSabotaged('exit', { workers: 1, stages: 1, partition: 'uniform' });
    expect(await refusal(() => trainer.fit(poisoned, y, args))).toMatchObject({ worker: 0 });
    await expectUsable(trainer);
  });

  it('does not keep close from ending', async () => {
    const trainer = await openSabotaged('exit');
    await refusal(() => trainer.fit(poisoned, y, args));
    expect(await timeOf(trainer.close())).toBeLessThan(2_000);
  });
});

describe('a layer that hangs', () => {
  it.each([
    ['while another stage waits for it', {}, { stage: 1, worker: 1, action: '1F2' }],
    [
      'with nobody else to notice',
      { workers: 1, stages: 1, partition: 'uniform' },
      { stage: 0, worker: 0, action: '0F2' },
    ],
  ] as const)(
    'makes fit reject after stallTimeoutMs, %s, and the trainer works again',
    async (_, options, place) => {
      const trainer = await openSabotaged('hang', { stallTimeoutMs: 400, ...options });
      const start = performance.now();
      const error = await refusal(() => trainer.fit(poisoned, y, args));
      expect(performance.now() - start).toBeLessThan(4_000);
      expect(error).toBeInstanceOf(StageError);
      expect(error).toMatchObject({ ...place, microBatch: 2, step: 2, cause: { name: 'StallError' } });
      expect(error.message).toMatch(/no progress for \d+ ms/);
      await expectUsable(trainer);
    },
  );

  it('does not keep close from ending', async () => {
    const trainer = await openSabotaged('hang', { stallTimeoutMs: 300 });
    await refusal(() => trainer.fit(poisoned, y, args));
    expect(await timeOf(trainer.close())).toBeLessThan(4_000);
  });

  it('is not confused with one that only takes its time', async () => {
    const options = {
      setup: saboteurModule,
      stages: 'auto' as const,
      partition: ['saboteur'],
      stallTimeoutMs: 900,
    } satisfies PipelineOptions;
    const trainer = await open(sabotaged('sleep', { ms: 450 }), options);
    await expect(trainer.fit(poisoned, y, args)).resolves.toBeInstanceOf(tf.History);
  });
});

it('a callback that takes longer than stallTimeoutMs is no stall', async () => {
  const trainer = await openSabotaged('throw', { stallTimeoutMs: 100 });
  const wait = new Int32Array(new SharedArrayBuffer(4));
  const onBatchEnd = async (): Promise<void> => {
    await Atomics.waitAsync(wait, 0, 0, 300).value;
  };
  await expect(
    trainer.fit(tf.slice(x, 0, 16), tf.slice(y, 0, 16), { ...args, callbacks: { onBatchEnd } }),
  ).resolves.toBeInstanceOf(tf.History);
});
