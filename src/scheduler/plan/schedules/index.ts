/** The schedules that train, by name. A new one is a file with a generator and a line here. */
import type { Schedule } from '../../../protocol/schedule.js';
import { ScheduleError } from '../errors.js';
import { type Placement, place, placeInV, placeRoundRobin } from '../placement.js';
import { gpipe } from './gpipe.js';
import { greedy } from './greedy.js';
import { interleaved } from './interleaved.js';
import { oneFOneB } from './one-f-one-b.js';
import type { ScheduleGenerator, ScheduleParams } from './params.js';
import { zbV } from './zb-v.js';
import { zeroBubble } from './zero-bubble.js';

export interface ScheduleKind {
  readonly generate: ScheduleGenerator;
  /** The placement that it is made for. Generators accept any. */
  readonly place: Placement;
  /** Stages that it wants on each worker. */
  readonly stagesPerWorker: number;
  /** Whether its order follows `cost`, so that it is worth measuring first. */
  readonly usesCost: boolean;
}

const IN_BLOCKS = { place, stagesPerWorker: 1, usesCost: false } as const;

const BY_NAME = {
  gpipe: { ...IN_BLOCKS, generate: gpipe },
  '1f1b': { ...IN_BLOCKS, generate: oneFOneB },
  interleaved: { generate: interleaved, place: placeRoundRobin, stagesPerWorker: 2, usesCost: false },
  'zero-bubble': { ...IN_BLOCKS, generate: zeroBubble },
  'zb-v': { generate: zbV, place: placeInV, stagesPerWorker: 2, usesCost: false },
  greedy: { ...IN_BLOCKS, generate: greedy, usesCost: true },
} as const satisfies Record<string, ScheduleKind>;

export type ScheduleName = keyof typeof BY_NAME;

const KINDS: ReadonlyMap<string, ScheduleKind> = new Map(Object.entries(BY_NAME));

/** Names that `generateSchedule` knows. */
export const SCHEDULE_NAMES = Object.keys(BY_NAME) as readonly ScheduleName[];

/** @throws ScheduleError that lists the names there are */
export function scheduleKind(name: string): ScheduleKind {
  const kind = KINDS.get(name);
  if (kind !== undefined) return kind;
  throw new ScheduleError(`unknown schedule '${name}'; known are ${SCHEDULE_NAMES.join(', ')}`, {
    fault: 'shape',
  });
}

/** At the placement that is given; `scheduleKind(name).place` gives the one that the schedule is made for. */
export function generateSchedule(name: string, params: ScheduleParams): Schedule {
  return scheduleKind(name).generate(params);
}
