/** `events$` tells what happened, in order; the times in it show that the stages work at once and as scheduled. */
import * as tf from '@tensorflow/tfjs';
import { type ActionRecord, type ComputeAction, pipeline, type TrainerEvent } from 'millrace';
import { beforeAll, describe, expect, it } from 'vitest';
import { compiledClassifier, open, samples } from '../pipeline/helpers.js';
import { recordEvents, wideModel } from './helpers.js';

beforeAll(() => tf.setBackend('cpu'));

type StepEvent = Extract<TrainerEvent, { kind: 'step' }>;

const isStep = (event: TrainerEvent): event is StepEvent => event.kind === 'step';
const COMPUTE = ['forward', 'backwardInput', 'backwardWeight'];
const isCompute = ({ action }: ActionRecord): boolean => COMPUTE.includes(action.kind);

describe('events$', () => {
  it('tells begin, epochs, steps and end in order, with the facts of each', async () => {
    const trainer = await open(compiledClassifier());
    const events = recordEvents(trainer);
    const { x, y } = samples(20);
    const { history } = await trainer.fit(x, y, { epochs: 2, batchSize: 8 });

    const steps = ['step', 'step', 'step'];
    const epoch = ['epoch-begin', ...steps, 'epoch-end'];
    expect(events.map(({ kind }) => kind)).toEqual(['train-begin', ...epoch, ...epoch, 'train-end']);
    expect(events[0]).toEqual({ kind: 'train-begin', epochs: 2, stepsPerEpoch: 3, samples: 20 });
    expect(events.at(-1)).toEqual({ kind: 'train-end', stopped: false });
    expect(events.filter(isStep).map(event => [event.epoch, event.batch, event.step, event.rows])).toEqual([
      [0, 0, 0, 8],
      [0, 1, 1, 8],
      [0, 2, 2, 4],
      [1, 0, 3, 8],
      [1, 1, 4, 8],
      [1, 2, 5, 4],
    ]);
    for (const event of events) {
      if (event.kind !== 'epoch-end') continue;
      expect(event.logs).toEqual(
        Object.fromEntries(Object.entries(history).map(([name, values]) => [name, values[event.epoch]])),
      );
    }
    for (const { logs } of events.filter(isStep)) expect(Object.keys(logs)).toEqual(['loss', 'acc']);
  });

  it('counts steps over several fits and says when training was stopped', async () => {
    const trainer = await open(compiledClassifier());
    const { x, y } = samples(16);
    await trainer.fit(x, y, { batchSize: 8 });
    const events = recordEvents(trainer);
    await trainer.fit(x, y, {
      batchSize: 8,
      callbacks: {
        onBatchEnd: () => {
          trainer.model.stopTraining = true;
        },
      },
    });
    expect(events.filter(isStep).map(({ step }) => step)).toEqual([2]);
    expect(events.at(-1)).toEqual({ kind: 'train-end', stopped: true });
  });

  it('gives every subscriber the warnings of planning first', async () => {
    const model = tf.sequential({
      layers: [
        tf.layers.dense({ units: 4, inputShape: [6] }),
        tf.layers.batchNormalization({ name: 'norm' }),
        tf.layers.dense({ units: 3, activation: 'softmax' }),
      ],
    });
    model.compile({ optimizer: 'sgd', loss: 'categoricalCrossentropy' });
    const trainer = await open(model, { microBatches: 2 });
    const early = recordEvents(trainer);
    const { x, y } = samples(8);
    await trainer.fit(x, y);
    const late = recordEvents(trainer);
    expect(early.map(({ kind }) => kind)).toEqual([
      'warning',
      'train-begin',
      'epoch-begin',
      'step',
      'epoch-end',
      'train-end',
    ]);
    expect(late).toEqual([early[0]]);
  });

  it('is not disturbed by a subscriber that leaves', async () => {
    const trainer = await open(compiledClassifier());
    const { x, y } = samples(16);
    const leaver: string[] = [];
    const subscription = trainer.events$.subscribe(({ kind }) => {
      leaver.push(kind);
      if (kind === 'epoch-begin') subscription.unsubscribe();
    });
    const events = recordEvents(trainer);
    await trainer.fit(x, y);
    expect(leaver).toEqual(['train-begin', 'epoch-begin']);
    expect(events.at(-1)?.kind).toBe('train-end');
  });
});

describe('a two-stage 1F1B run', () => {
  const MICRO_BATCHES = 4;

  async function telemetry(): Promise<{ steps: StepEvent[]; orders: string[][] }> {
    const units = 160;
    const trainer = await pipeline(wideModel(units, 4), {
      backend: 'cpu',
      workers: 2,
      stages: 2,
      microBatches: MICRO_BATCHES,
      schedule: '1f1b',
      partition: 'uniform',
    });
    try {
      const events = recordEvents(trainer);
      const x = tf.randomNormal([96, units], 0, 1, 'float32', 3);
      await trainer.fit(x, x, { batchSize: 16, shuffle: false });
      const { orders } = trainer.plan.schedule;
      const show = ({ kind, stage, microBatches }: (typeof orders)[number][number]) =>
        `${kind} ${stage} ${microBatches.join()}`;
      return { steps: events.filter(isStep), orders: orders.map(order => order.map(show)) };
    } finally {
      await trainer.close();
    }
  }

  it('computes in both stages at once, and in each worker in exactly the order of the schedule', async () => {
    const { steps, orders } = await telemetry();
    expect(steps).toHaveLength(6);

    for (const { actions } of steps) {
      for (const [worker, order] of orders.entries()) {
        const done = actions
          .filter(record => record.worker === worker && isCompute(record))
          .sort((a, b) => a.startMs - b.startMs);
        expect(
          done.map(({ action }) =>
            'microBatches' in action ? `${action.kind} ${action.stage} ${action.microBatches.join()}` : '',
          ),
        ).toEqual(order);
        for (const [index, { startMs, endMs }] of done.entries()) {
          expect(endMs).toBeGreaterThanOrEqual(startMs);
          if (index > 0) expect(startMs).toBeGreaterThanOrEqual(done[index - 1]!.endMs);
        }
      }
    }

    // One core may be busy with other things for a step or two, but not for all of them.
    const overlapping = steps.filter(({ actions }) => overlapMs(actions) > 0);
    expect(overlapping.length).toBeGreaterThanOrEqual(steps.length / 2);
  });

  it('never computes before what it needs has been computed', async () => {
    const { steps } = await telemetry();
    for (const { actions } of steps) {
      const of = (kind: ComputeAction['kind'], stage: number, microBatch: number): ActionRecord =>
        actions.find(
          ({ action }) =>
            action.kind === kind && action.stage === stage && action.microBatches.includes(microBatch),
        )!;
      for (let microBatch = 0; microBatch < MICRO_BATCHES; microBatch++) {
        expect(of('forward', 1, microBatch).startMs).toBeGreaterThanOrEqual(
          of('forward', 0, microBatch).endMs,
        );
        expect(of('backwardWeight', 0, microBatch).startMs).toBeGreaterThanOrEqual(
          of('backwardInput', 1, microBatch).endMs,
        );
      }
    }
  });
});

/** Time in which compute actions of both workers were running. */
function overlapMs(actions: readonly ActionRecord[]): number {
  const [first, second] = [0, 1].map(worker =>
    actions.filter(record => record.worker === worker && isCompute(record)),
  );
  let total = 0;
  for (const a of first!) {
    for (const b of second!) {
      total += Math.max(0, Math.min(a.endMs, b.endMs) - Math.max(a.startMs, b.startMs));
    }
  }
  return total;
}
