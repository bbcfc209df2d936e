/** What the planner's tests share: random stages, placements and schedules. */
import * as fc from 'fast-check';
import { chainTopology } from '#internal/scheduler/plan/chain.js';
import { place, placeInV, placeRoundRobin } from '#internal/scheduler/plan/placement.js';
import { generateSchedule, SCHEDULE_NAMES, scheduleKind } from '#internal/scheduler/plan/schedules/index.js';

export type Schedule = ReturnType<typeof generateSchedule>;
export type StageTopology = ReturnType<typeof chainTopology>;

export function onOwnWorkers(name: string, stageCount: number, microBatchCount: number): Schedule {
  return generateSchedule(name, {
    stageCount,
    microBatchCount,
    workerOfStage: place(stageCount, stageCount),
  });
}

/** At the placement that the schedule is made for. */
export function placed(
  name: string,
  stageCount: number,
  workerCount: number,
  microBatchCount: number,
): Schedule {
  const workerOfStage = scheduleKind(name).place(stageCount, workerCount);
  return generateSchedule(name, { stageCount, microBatchCount, workerOfStage });
}

/** Edges and tied weights between any two stages, with or without gradients; any stage may be fed or own outputs. */
export function topologies(stageCount: number): fc.Arbitrary<StageTopology> {
  const pairs = chainTopology(stageCount).edges.concat(
    Array.from({ length: stageCount }, (_, from) =>
      Array.from({ length: Math.max(0, stageCount - from - 2) }, (_, gap) => ({
        from,
        to: from + gap + 2,
        gradient: true,
      })),
    ).flat(),
  );
  const stages = Array.from({ length: stageCount }, (_, stage) => stage);
  return fc.record({
    stageCount: fc.constant(stageCount),
    edges: fc
      .tuple(
        ...pairs.map(pair =>
          fc.record({ edge: fc.constant(pair), kept: fc.boolean(), gradient: fc.boolean() }),
        ),
      )
      .map(drawn =>
        drawn
          .filter(({ kept }) => kept)
          .map(({ edge, gradient }) => ({ ...edge, gradient }))
          .sort((one, other) => one.from - other.from || one.to - other.to),
      ),
    fedStages: fc.subarray(stages),
    outputStages: fc.subarray(stages),
    ties: fc.subarray(
      stages.flatMap(owner => stages.filter(user => user > owner).map(user => ({ owner, user }))),
    ),
  });
}

/** Any worker for any stage, renumbered so that workers count without gaps. */
export function placements(stageCount: number): fc.Arbitrary<readonly number[]> {
  const scattered = fc
    .array(fc.nat(3), { minLength: stageCount, maxLength: stageCount })
    .map(drawn => drawn.map(worker => [...new Set(drawn)].sort().indexOf(worker)));
  return fc.oneof(
    fc
      .record({
        placement: fc.constantFrom(place, placeRoundRobin, placeInV),
        workers: fc.integer({ min: 1, max: 6 }),
      })
      .map(({ placement, workers }) => placement(stageCount, workers)),
    scattered,
  );
}

export interface Plan {
  readonly schedule: Schedule;
  readonly topology: StageTopology;
}

export const plans: fc.Arbitrary<Plan> = fc
  .record({
    name: fc.constantFrom(...SCHEDULE_NAMES),
    stageCount: fc.integer({ min: 1, max: 6 }),
    microBatchCount: fc.integer({ min: 1, max: 9 }),
  })
  .chain(({ name, stageCount, microBatchCount }) =>
    fc.record({
      schedule: placements(stageCount).map(workerOfStage =>
        generateSchedule(name, { stageCount, microBatchCount, workerOfStage }),
      ),
      topology: topologies(stageCount),
    }),
  );

/** What a call throws; fails the test if it throws nothing. */
export function thrownBy(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  throw new Error('expected an error, but nothing was thrown');
}

/** Cuts the indentation off a text that is laid out in the source like the picture it shows. */
export function picture(text: string): string {
  const lines = text.split('\n').slice(1, -1);
  const indent = Math.min(...lines.filter(line => line.trim() !== '').map(line => line.search(/\S/)));
  return lines.map(line => line.slice(indent)).join('\n');
}
