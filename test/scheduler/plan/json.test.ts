import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ScheduleError, ScheduleJsonError } from '#internal/scheduler/plan/errors.js';
import { formatScheduleJson, parseScheduleJson } from '#internal/scheduler/plan/json.js';
import { validateSchedule } from '#internal/scheduler/plan/validate.js';
import { placed, plans, thrownBy } from './support.js';

describe('schedules as JSON', () => {
  it('are read back as they were written', () => {
    fc.assert(
      fc.property(plans, fc.string({ unit: 'grapheme' }), ({ schedule }, name) => {
        expect(parseScheduleJson(formatScheduleJson({ ...schedule, name }))).toEqual({ ...schedule, name });
      }),
    );
  });

  const zbV = placed('zb-v', 4, 2, 2);
  const changed = (change: object): string => JSON.stringify({ ...zbV, ...change });
  const withAction = (change: object): string =>
    changed({ orders: [zbV.orders[0], zbV.orders[1]!.with(2, { ...zbV.orders[1]![2]!, ...change })] });

  it.each([
    ['{"name": "x"', '', /^the schedule: not JSON: /],
    ['', '', /not JSON/],
    ['null', '', /expected object/],
    ['[]', '', /expected object/],
    ['{}', 'name', /^name: .*expected string/],
    [changed({ stageCount: 0 }), 'stageCount', /at least|>=1|Too small/i],
    [changed({ stageCount: '4' }), 'stageCount', /expected (number|int)/],
    [changed({ microBatchCount: 1.5 }), 'microBatchCount', /int/],
    [changed({ workerOfStage: [0, 1, -1, 0] }), 'workerOfStage[2]', /Too small/i],
    [changed({ orders: {} }), 'orders', /expected array/],
    [changed({ orders: [[], null] }), 'orders[1]', /expected array/],
    [withAction({ kind: 'step' }), 'orders[1][2].kind', /"forward"\|"backwardInput"\|"backwardWeight"/],
    [withAction({ kind: undefined }), 'orders[1][2].kind', /Invalid option/],
    [withAction({ microBatches: [] }), 'orders[1][2].microBatches', /Too small/i],
    [withAction({ microBatches: [0, 'one'] }), 'orders[1][2].microBatches[1]', /expected (number|int)/],
    [withAction({ stage: null }), 'orders[1][2].stage', /expected (number|int)/],
  ])('are refused where they are malformed: %.60s', (text, path, message) => {
    const error = thrownBy(() => parseScheduleJson(text));
    expect(error).toBeInstanceOf(ScheduleJsonError);
    expect(error).toMatchObject({ code: 'MILLRACE_SCHEDULE_SYNTAX', path });
    expect((error as Error).message).toMatch(message);
  });

  it('are refused with a typed error whatever is taken out or put in', () => {
    const junk = fc.oneof(fc.jsonValue(), fc.constant(undefined));
    const damages = plans.chain(({ schedule }) => {
      const keys = Object.keys(schedule);
      return fc.record({ schedule: fc.constant(schedule), key: fc.constantFrom(...keys), junk });
    });
    fc.assert(
      fc.property(damages, ({ schedule, key, junk }) => {
        const text = JSON.stringify({ ...schedule, [key]: junk });
        try {
          validateSchedule(parseScheduleJson(text));
        } catch (error) {
          expect(error instanceof ScheduleJsonError || error instanceof ScheduleError).toBe(true);
          return;
        }
        // Only a name is free, and what says the same as before.
        if (key !== 'name') expect(JSON.parse(text)).toEqual(schedule);
      }),
      { numRuns: 500 },
    );
  });
});
