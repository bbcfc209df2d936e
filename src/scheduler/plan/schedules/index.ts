/** The schedules that train, by name. A new one is a file with a generator and a line here. */
import type { Schedule } from '../../../protocol/schedule.js';
import { ScheduleError } from '../errors.js';
import type { ScheduleGenerator, ScheduleParams } from './clock.js';
import { gpipe } from './gpipe.js';
import { oneFOneB } from './one-f-one-b.js';
import { zeroBubble } from './zero-bubble.js';

const BY_NAME = { gpipe, '1f1b': oneFOneB, 'zero-bubble': zeroBubble } as const satisfies Record<
  string,
  ScheduleGenerator
>;

export type ScheduleName = keyof typeof BY_NAME;

const GENERATORS: ReadonlyMap<string, ScheduleGenerator> = new Map(Object.entries(BY_NAME));

/** Names that `generateSchedule` knows. */
export const SCHEDULE_NAMES = Object.keys(BY_NAME) as readonly ScheduleName[];

export function generateSchedule(name: string, params: ScheduleParams): Schedule {
  const generate = GENERATORS.get(name);
  if (generate === undefined) {
    throw new ScheduleError(`unknown schedule '${name}'; known are ${SCHEDULE_NAMES.join(', ')}`, {
      fault: 'shape',
    });
  }
  return generate(params);
}
