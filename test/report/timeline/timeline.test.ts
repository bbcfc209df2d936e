/** What a timeline makes of recorded steps: their times, the comparison with the prediction, and the files. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { ConfigurationError, ModelFileError } from 'millrace';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { madeUpTimeline } from './support.js';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'millrace-timeline-'));
});
afterAll(() => rm(directory, { recursive: true }));

const shape = fc.record({
  stageCount: fc.integer({ min: 1, max: 6 }),
  microBatchCount: fc.integer({ min: 1, max: 6 }),
  schedule: fc.constantFrom('gpipe', '1f1b', 'zero-bubble'),
  stepCount: fc.integer({ min: 2, max: 5 }),
  noise: fc.double({ min: 0, max: 1, noNaN: true }),
});

describe('the steps of a timeline', () => {
  it('start at 0, and hold every action of every worker in order', () => {
    fc.assert(
      fc.property(shape, options => {
        const { steps, plan } = madeUpTimeline(options);
        expect(steps).toHaveLength(options.stepCount);
        expect(steps[0]!.startMs).toBe(0);
        for (const { actions, startMs, endMs } of steps) {
          expect(Math.max(...actions.map(action => action.endMs))).toBe(endMs);
          for (let worker = 0; worker < plan.workers; worker++) {
            const own = actions.filter(record => record.worker === worker);
            // F, B and W of every micro-batch, some W's together.
            const computed = own.flatMap(({ action }) =>
              action.kind === 'send' || action.kind === 'receive' || action.kind === 'step'
                ? []
                : action.microBatches,
            );
            expect(computed).toHaveLength(3 * options.microBatchCount);
            for (const [index, { startMs: from }] of own.entries()) {
              expect(from).toBeGreaterThanOrEqual(own[index - 1]?.endMs ?? Number.NEGATIVE_INFINITY);
            }
            const work = own.filter(({ action }) => action.kind !== 'receive');
            expect(work[0]!.startMs).toBeGreaterThanOrEqual(startMs);
          }
        }
      }),
    );
  });

  it('have periods that add up, from the second one on', () => {
    const { steps } = madeUpTimeline({ stepCount: 5, noise: 0.5 });
    expect(steps[0]!.periodMs).toBeUndefined();
    const sum = steps.slice(1).reduce((total, { periodMs }) => total + periodMs!, 0);
    expect(sum).toBeCloseTo(steps.at(-1)!.endMs - steps[0]!.endMs);
  });

  it('lack the actions of micro-batches that a smaller mini-batch lacks', () => {
    const { steps, comparison } = madeUpTimeline({ microBatchCount: 4, lastRows: 12 });
    const last = steps.at(-1)!;
    expect(last.microBatchRows).toEqual([8, 4]);
    const touched = last.actions.flatMap(({ action }) =>
      'microBatches' in action ? action.microBatches : [],
    );
    // W's of several micro-batches stay, since they are one action.
    const single = last.actions.filter(({ action }) => action.kind === 'forward' || action.kind === 'send');
    expect(touched).toContain(1);
    expect(single.every(({ action }) => !('microBatches' in action && action.microBatches[0]! > 1))).toBe(
      true,
    );
    // Of another size than the others, it is not compared.
    expect(comparison.rows).toBe(32);
    expect(comparison.steps.map(({ step }) => step)).toEqual([101, 102, 103, 104]);
  });
});

describe('the comparison', () => {
  it('finds nothing where the steps ran exactly as predicted', () => {
    fc.assert(
      fc.property(shape, options => {
        const { comparison, predicted } = madeUpTimeline({ ...options, stepCount: 12, noise: 0 });
        const { error, workers, calls, measuredBubble, predictedBubble } = comparison;
        expect(error).toBeCloseTo(0, 6);
        expect(measuredBubble).toBeCloseTo(predictedBubble!, 6);
        expect(predictedBubble).toBeCloseTo(predicted.bubbleFraction, 6);
        for (const entry of [...workers, ...calls]) expect(entry.error ?? 0).toBeCloseTo(0, 6);
        expect(workers).toHaveLength(options.stageCount);
      }),
      { numRuns: 30 },
    );
  });

  it('says by how much the steps were slower, as a part of the prediction', () => {
    const { comparison } = madeUpTimeline({ noise: 1, stepCount: 10 });
    expect(comparison.error).toBeGreaterThan(0);
    expect(comparison.error).toBeLessThan(1);
    expect(comparison.measuredMs).toBeCloseTo(comparison.predictedMs! * (1 + comparison.error!));
    for (const { kind, error } of comparison.calls) {
      expect(error, kind).toBeGreaterThanOrEqual(0);
      expect(error, kind).toBeLessThanOrEqual(1);
    }
  });

  it('predicts nothing where nothing was measured, and draws at the pace of the steps', () => {
    const { comparison, predicted } = madeUpTimeline({ isMeasured: false });
    expect(predicted.isMeasured).toBe(false);
    expect(comparison).toMatchObject({
      predictedMs: undefined,
      error: undefined,
      predictedBubble: undefined,
    });
    expect(predicted.periodMs).toBeCloseTo(comparison.measuredMs!);
    const [, run] = predicted.runs;
    const forward = run!.actions.find(({ action }) => action.kind === 'forward')!;
    const backward = run!.actions.find(({ action }) => action.kind === 'backwardInput')!;
    expect(forward.endMs - forward.startMs).toBeCloseTo(backward.endMs - backward.startMs);
  });

  it('is of the prediction alone where nothing was trained', () => {
    const { comparison, steps } = madeUpTimeline({ stepCount: 0 });
    expect(steps).toEqual([]);
    expect(comparison).toMatchObject({ rows: 32, measuredMs: undefined, error: undefined, steps: [] });
    expect(comparison.predictedMs).toBeGreaterThan(0);
  });
});

describe('the prediction', () => {
  it('is three mini-batches in a row, a period apart, of which the second starts at 0', () => {
    const { predicted } = madeUpTimeline({ stageCount: 3 });
    const starts = predicted.runs.map(({ startMs }) => startMs);
    expect(starts[1]).toBe(0);
    expect(starts[2]).toBeCloseTo(predicted.periodMs);
    expect(starts[0]).toBeCloseTo(-predicted.periodMs);
  });
});

describe('save', () => {
  it('writes a page to .html and a trace to .json, and leaves nothing else behind', async () => {
    const timeline = madeUpTimeline();
    await timeline.save(join(directory, 'run.html'));
    await timeline.save(join(directory, 'run.JSON'));
    expect((await readdir(directory)).sort()).toEqual(['run.JSON', 'run.html']);
    expect(await readFile(join(directory, 'run.html'), 'utf8')).toBe(timeline.toHtml());
    expect(JSON.parse(await readFile(join(directory, 'run.JSON'), 'utf8'))).toEqual(
      JSON.parse(JSON.stringify(timeline.toChromeTrace())),
    );
  });

  it('refuses another ending, and tells where it cannot write', async () => {
    const timeline = madeUpTimeline();
    const refused = timeline.save(join(directory, 'run.svg'));
    await expect(refused).rejects.toBeInstanceOf(ConfigurationError);
    await expect(refused).rejects.toThrow(/\.html .*\.json .*run\.svg/);
    const path = join(directory, 'missing', 'run.html');
    const failed = timeline.save(path);
    await expect(failed).rejects.toBeInstanceOf(ModelFileError);
    await expect(failed).rejects.toMatchObject({ path, problem: 'file-system' });
  });
});
