/** `trainer.timeline()` of real workers. */
import * as tf from '@tensorflow/tfjs';
import { type PipelineOptions, pipeline, type TrainerEvent } from 'millrace';
import { beforeAll, describe, expect, it } from 'vitest';
import { CLASSES, compiledClassifier, FEATURES, TWO_STAGES } from './helpers.js';

beforeAll(() => tf.setBackend('cpu'));

const SAMPLES = 40;
const BATCH_SIZE = 16;

async function train<T>(
  options: PipelineOptions,
  look: (trainer: Awaited<ReturnType<typeof pipeline>>) => Promise<T>,
) {
  await using trainer = await pipeline(compiledClassifier(), options);
  return await look(trainer);
}

const data = () => ({
  x: tf.randomUniform([SAMPLES, FEATURES], 0, 1, 'float32', 3),
  y: tf.oneHot(
    Array.from({ length: SAMPLES }, (_, index) => index % CLASSES),
    CLASSES,
  ),
});

describe('the timeline of a trainer', () => {
  it('has the actions and losses of its steps as events tell them, nobody having asked before', async () => {
    await train(TWO_STAGES, async trainer => {
      const { x, y } = data();
      const { history } = await trainer.fit(x, y, { epochs: 1, batchSize: BATCH_SIZE });
      const unasked = trainer.timeline();
      expect(unasked.steps.map(({ step, rows, epoch, batch }) => ({ step, rows, epoch, batch }))).toEqual([
        { step: 0, rows: 16, epoch: 0, batch: 0 },
        { step: 1, rows: 16, epoch: 0, batch: 1 },
        { step: 2, rows: 8, epoch: 0, batch: 2 },
      ]);
      expect(unasked.comparison.rows).toBe(16);
      const mean = unasked.steps.reduce((sum, { rows, logs }) => sum + (rows * logs['loss']!) / SAMPLES, 0);
      expect(mean).toBeCloseTo(history['loss']![0] as number, 5);

      const events: TrainerEvent[] = [];
      trainer.events$.subscribe(event => events.push(event));
      await trainer.fit(x, y, { epochs: 2, batchSize: BATCH_SIZE });
      const { steps } = trainer.timeline();
      expect(steps).toHaveLength(9);
      const told = events.filter(event => event.kind === 'step');
      for (const [index, { step, actions }] of told.entries()) {
        const recorded = steps[3 + index]!;
        expect(recorded.step).toBe(step);
        const recordedActions = new Set(recorded.actions.map(({ action }) => action));
        // Events list also what a smaller mini-batch skips.
        const taken = actions.filter(({ action }) => recordedActions.has(action));
        expect(recorded.actions).toHaveLength(taken.length);
        const originMs = taken[0]!.startMs - recorded.actions[0]!.startMs;
        for (const [position, record] of recorded.actions.entries()) {
          expect(record).toMatchObject({ action: taken[position]!.action, worker: taken[position]!.worker });
          expect(record.startMs).toBeCloseTo(taken[position]!.startMs - originMs, 3);
          expect(record.endMs).toBeCloseTo(taken[position]!.endMs - originMs, 3);
        }
      }
      // The first step of an epoch follows a validation, or callbacks, rather than a step.
      expect(steps.filter(({ periodMs }) => periodMs === undefined).map(({ batch }) => batch)).toEqual([
        0, 0, 0,
      ]);
    });
  });

  it('keeps the last `timelineSteps` steps, and can be read after close', async () => {
    const timeline = await train({ ...TWO_STAGES, timelineSteps: 2 }, async trainer => {
      const { x, y } = data();
      await trainer.fit(x, y, { epochs: 1, batchSize: 8 });
      await trainer.close();
      return trainer.timeline();
    });
    expect(timeline.steps.map(({ step }) => step)).toEqual([3, 4]);
  });

  it('records none of validation, evaluation and prediction, and none at all at 0', async () => {
    await train({ ...TWO_STAGES, timelineSteps: 0 }, async trainer => {
      const { x, y } = data();
      await trainer.fit(x, y, { epochs: 1 });
      expect(trainer.timeline().steps).toEqual([]);
    });
    await train(TWO_STAGES, async trainer => {
      const { x, y } = data();
      await trainer.evaluate(x, y);
      await trainer.predict(x);
      expect(trainer.timeline().steps).toEqual([]);
      await trainer.trainOnBatch(x, y);
      const { steps } = trainer.timeline();
      expect(steps).toHaveLength(1);
      expect(steps[0]!.logs['loss']).toBeGreaterThan(0);
    });
  });

  it('says that a plan was not measured, and has no prediction to compare with', async () => {
    await train(TWO_STAGES, async trainer => {
      const { predicted, comparison, plan } = trainer.timeline();
      expect(plan.costs).toBeUndefined();
      expect(plan.prediction).toBeUndefined();
      expect(predicted.isMeasured).toBe(false);
      expect(comparison.predictedMs).toBeUndefined();
      expect(predicted.runs).toHaveLength(3);
    });
  });

  it('predicts for the size of the mini-batches that were trained', async () => {
    await train({ ...TWO_STAGES, partition: 'auto', batchSize: 32 }, async trainer => {
      const { plan } = trainer;
      expect(plan.costs).toMatchObject({ batchSize: 32, microBatchRows: 8 });
      expect(plan.prediction).toMatchObject({ rows: 32 });
      expect(plan.prediction!.periodMs).toBeGreaterThan(0);
      const { comparison } = trainer.timeline();
      expect(comparison.predictedMs).toBeCloseTo(plan.prediction!.periodMs);
      const { x, y } = data();
      await trainer.fit(x, y, { epochs: 1, batchSize: 8 });
      const smaller = trainer.timeline().comparison;
      expect(smaller.rows).toBe(8);
      expect(smaller.predictedMs).toBeLessThanOrEqual(comparison.predictedMs!);
      expect(smaller.measuredMs).toBeGreaterThan(0);
      expect(smaller.error).toBeCloseTo(smaller.measuredMs! / smaller.predictedMs! - 1);
      expect(smaller.calls.filter(({ kind }) => kind === 'forward').map(({ stage }) => stage)).toEqual([
        0, 1,
      ]);
    });
  });
});
