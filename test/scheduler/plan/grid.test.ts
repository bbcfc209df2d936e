import { describe, expect, it } from 'vitest';
import { fullBackward, unitCost } from '#internal/scheduler/plan/costs.js';
import { drawPrograms, drawSchedule } from '#internal/scheduler/plan/grid.js';
import { type formatAction, parsePrograms, parseSchedule } from '#internal/scheduler/plan/text.js';
import { onOwnWorkers, picture } from './support.js';

describe('grid', () => {
  it('lengthens actions over the columns that they take', () => {
    expect(drawSchedule(onOwnWorkers('1f1b', 2, 2), { cost: fullBackward(unitCost) })).toBe(
      picture(`
        worker 0  0F0 0F1 .   .   0B0---- .   0B1----
        worker 1  .   1F0 1B0---- 1F1 1B1----
      `),
    );
  });

  it('rounds positions where durations have no common column', () => {
    const cost = (action: Parameters<typeof formatAction>[0]): number =>
      ({ forward: 1, backwardInput: 1.7, backwardWeight: 0.6 })[action.kind as string] ?? 0;
    expect(drawSchedule(onOwnWorkers('1f1b', 1, 2), { cost })).toBe(
      'worker 0  0F0---- 0B0-------- 0W0 0F1---- 0B1-------- 0W1',
    );
    expect(drawSchedule(onOwnWorkers('1f1b', 1, 1), { cost, columnTime: 0.1 })).toMatch(
      /^worker 0 {2}0F0-{36} 0B0-+ 0W0-+$/,
    );
  });

  it('widens columns for the longest action', () => {
    const programs = parsePrograms('worker 0: 0F0 0F10 0B0 0B10 0W0,10');
    expect(drawPrograms(programs)).toBe('worker 0  0F0    0F10   0B0    0B10   0W0,10-------');
  });

  it('marks an action with carets and a note', () => {
    const mark = { worker: 0, index: 3, note: 'here' };
    expect(drawSchedule(onOwnWorkers('gpipe', 2, 2), { mark })).toBe(
      picture(`
        worker 0  0F0 0F1 .   .   0B1 0W1 0B0 0W0
                                      ^^^ here
        worker 1  .   1F0 1F1 1B1 1W1 1B0 1W0
      `),
    );
  });

  it('marks the place behind the last action', () => {
    const mark = { worker: 1, index: 3, note: 'more' };
    expect(drawSchedule(onOwnWorkers('gpipe', 2, 1), { mark })).toBe(
      picture(`
        worker 0  0F0 .   .   0B0 0W0
        worker 1  .   1F0 1B0 1W0
                                  ^^^ more
      `),
    );
  });

  it('marks the action that a message belongs to', () => {
    const programs = parsePrograms('worker 0: 0F0 0F0>1 0F1 0F1>1\nworker 1: 1F0<0 1F0 1F1<0 1F1');
    const marked = (worker: number, index: number): string | undefined =>
      drawPrograms(programs, { mark: { worker, index } })
        .split('\n')
        .find(line => line.includes('^'));
    expect(marked(0, 1)).toBe('          ^^^');
    expect(marked(0, 3)).toBe('              ^^^');
    expect(marked(1, 2)).toBe('                  ^^^');
  });

  it('puts what never runs behind a bar', () => {
    const schedule = parseSchedule(
      'schedule stuck stages=2 micro-batches=2 placement=0,1\n' +
        'worker 0: 0F0 0B0 0W0 0F1 0B1 0W1\n' +
        'worker 1: 1F0 1F1 1B0 1W0 1B1 1W1',
    );
    expect(drawSchedule(schedule)).toBe(
      picture(`
        worker 0  0F0 |   0B0 0W0 0F1 0B1 0W1
        worker 1  .   1F0 |   1F1 1B0 1W0 1B1 1W1
      `),
    );
  });

  it('shows a window around the mark of a large plan', () => {
    const mark = { worker: 6, index: 40, note: 'here' };
    expect(drawSchedule(onOwnWorkers('1f1b', 12, 32), { mark, window: { columns: 6, workers: 3 } })).toBe(
      picture(`
        … 5 workers above
        worker 5  … 5B10 5W10 5F17 5B11 5W11 5F18 …
        worker 6  … 6W10 6F16 6B11 6W11 6F17 6B12 …
                                   ^^^^ here
        worker 7  … 7F15 7B11 7W11 7F16 7B12 7W12 …
        … 4 workers below
      `),
    );
  });
});
