/** The benchmark of the schedules: that it measures what it says, and what it says of numbers that a test chooses. */
import { beforeAll, describe, expect, it } from 'vitest';
import { measureSchedules, useOf } from '../../bench/schedules/measure.mjs';
import { schedulesText } from '../../bench/schedules/report.mjs';
import { useBackend } from '../helpers/backends.js';

beforeAll(() => useBackend('cpu'));

const result = (name: string, idleShare: number) => ({
  name,
  workerCount: 4,
  simulated: { makespanMs: 100, idleShare: 0.25 },
  measured: { makespanMs: 104.4, idleShare },
});

describe('the benchmark of the schedules', () => {
  it('runs schedules for as long as they were simulated, or longer', async () => {
    const names = ['1f1b', 'zb-v'];
    const results = await measureSchedules({ workerCounts: [2], rounds: 1, names, timeScale: 0.5 });
    expect(results.map(({ name, workerCount }) => [name, workerCount])).toEqual([
      ['1f1b', 2],
      ['zb-v', 2],
    ]);
    for (const { simulated, measured } of results) {
      // A sleep may end a fraction of a millisecond early.
      expect(measured.makespanMs).toBeGreaterThan(0.9 * simulated.makespanMs);
      expect(measured.idleShare).toBeGreaterThan(0);
      expect(measured.idleShare).toBeLessThan(1);
    }
  });

  it('counts as idle what is neither F, B nor W between the first and the last of them', () => {
    const action = (kind: string, worker: number, startMs: number, endMs: number) =>
      ({ action: { kind, stage: worker, microBatches: [0] }, worker, startMs, endMs }) as never;
    const actions = [
      action('receive', 0, 0, 10),
      action('forward', 0, 10, 20),
      action('backwardInput', 1, 20, 40),
      action('backwardWeight', 1, 40, 50),
      action('step', 1, 50, 90),
    ];
    expect(useOf(actions, 2)).toEqual({ makespanMs: 40, idleShare: 0.5 });
  });

  it('says whether zero-bubble waits less than 1f1b', () => {
    const text = (idle: number) => schedulesText([result('1f1b', 0.3), result('zero-bubble', idle)]);
    expect(text(0.2)).toMatch(/^ +4 +1f1b +100 +104 +25\.0 % +30\.0 %$/m);
    expect(text(0.2)).toContain(
      '4 workers: zero-bubble idles for 20.0 %, 1f1b for 30.0 %; asked is less: met.',
    );
    expect(text(0.3)).toContain('**falls short**');
  });
});
