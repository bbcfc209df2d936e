/** Every schedule, damaged in one place: the validator names that place, whatever the schedule and its placement. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ScheduleError } from '#internal/scheduler/plan/errors.js';
import { generateSchedule, SCHEDULE_NAMES } from '#internal/scheduler/plan/schedules/index.js';
import { simulateSchedule } from '#internal/scheduler/plan/simulate.js';
import { validateSchedule } from '#internal/scheduler/plan/validate.js';
import { placed, plans, type Schedule, thrownBy } from './support.js';

type Order = Schedule['orders'][number];

interface Damage {
  readonly schedule: Schedule;
  readonly worker: number;
  /** Of the action that is damaged. */
  readonly index: number;
  readonly salt: number;
}

const damages: fc.Arbitrary<Damage> = fc
  .record({ plan: plans, worker: fc.nat(), index: fc.nat(), salt: fc.nat() })
  .map(({ plan: { schedule }, worker, index, salt }) => {
    const chosen = worker % schedule.orders.length;
    return { schedule, worker: chosen, index: index % schedule.orders[chosen]!.length, salt };
  });

function withOrder(schedule: Schedule, worker: number, order: Order): Schedule {
  return { ...schedule, orders: schedule.orders.with(worker, order) };
}

/** Fails unless the schedule is refused with a grid that marks something. */
function refusalOf(schedule: Schedule): ScheduleError {
  const error = thrownBy(() => validateSchedule(schedule));
  expect(error).toBeInstanceOf(ScheduleError);
  expect((error as ScheduleError).message).toMatch(/\n\n(worker|…)[\s\S]*\n *\^+ \S/);
  return error as ScheduleError;
}

describe('a damaged schedule is refused', () => {
  it('where an action is missing', () => {
    fc.assert(
      fc.property(damages, ({ schedule, worker, index }) => {
        const order = schedule.orders[worker]!;
        const {
          fault,
          worker: where,
          action,
        } = refusalOf(withOrder(schedule, worker, order.toSpliced(index, 1)));
        const { kind, stage } = order[index]!;
        // Without F or B, what needs it is the first to show it.
        expect({ fault, where }).toEqual({
          fault: kind === 'backwardWeight' ? 'missing' : 'order',
          where: worker,
        });
        expect(action!.stage).toBe(stage);
      }),
    );
  });

  it('where an action comes twice', () => {
    fc.assert(
      fc.property(damages, ({ schedule, worker, index, salt }) => {
        const order = schedule.orders[worker]!;
        const again = index + 1 + (salt % (order.length - index));
        const error = refusalOf(withOrder(schedule, worker, order.toSpliced(again, 0, order[index]!)));
        expect(error).toMatchObject({ fault: 'doubled', worker, index: again });
      }),
    );
  });

  it('where an action stands before one that it needs', () => {
    fc.assert(
      fc.property(damages, ({ schedule, worker, index }) => {
        const order = schedule.orders[worker]!;
        const { stage, kind, microBatches } = order[index]!;
        const isOfSame = (other: (typeof order)[number]): boolean =>
          other.stage === stage && other.microBatches.includes(microBatches[0]!);
        const later = order.findIndex((other, at) => at > index && isOfSame(other));
        if (kind === 'backwardWeight' || later < 0) return;
        const swapped = order.with(index, order[later]!).with(later, order[index]!);
        expect(refusalOf(withOrder(schedule, worker, swapped))).toMatchObject({
          fault: 'order',
          worker,
          index,
        });
      }),
    );
  });

  it('where a micro-batch, a stage or a worker does not exist', () => {
    fc.assert(
      fc.property(
        damages,
        fc.constantFrom('micro-batch', 'stage'),
        ({ schedule, worker, index, salt }, what) => {
          const order = schedule.orders[worker]!;
          const beyond = salt % 5;
          const wrong =
            what === 'stage'
              ? { ...order[index]!, stage: schedule.stageCount + beyond }
              : { ...order[index]!, microBatches: [schedule.microBatchCount + beyond] };
          expect(refusalOf(withOrder(schedule, worker, order.with(index, wrong)))).toMatchObject({
            fault: 'shape',
            worker,
            index,
            action: wrong,
          });
        },
      ),
    );
  });

  it('where an action stands on a worker that does not have its stage', () => {
    fc.assert(
      fc.property(damages, ({ schedule, worker, index, salt }) => {
        if (schedule.orders.length === 1) return;
        const other = (worker + 1 + (salt % (schedule.orders.length - 1))) % schedule.orders.length;
        const strayed = schedule.orders[other]!.toSpliced(0, 0, schedule.orders[worker]![index]!);
        expect(refusalOf(withOrder(schedule, other, strayed))).toMatchObject({
          fault: 'shape',
          worker: other,
          index: 0,
        });
      }),
    );
  });

  it('where two micro-batches change places on one stage alone', () => {
    fc.assert(
      fc.property(damages, ({ schedule, worker, index }) => {
        const order = schedule.orders[worker]!;
        const { kind, stage } = order[index]!;
        const next = order.findIndex(
          (other, at) => at > index && other.kind === kind && other.stage === stage,
        );
        if (kind !== 'forward' || next < 0) return;
        const swapped = order.with(index, order[next]!).with(next, order[index]!);
        expect(['order', 'message']).toContain(refusalOf(withOrder(schedule, worker, swapped)).fault);
      }),
    );
  });

  it('where workers follow different schedules and wait for each other, and only there', () => {
    const mixtures = plans.chain(({ schedule }) =>
      fc.record({
        schedule: fc.constant(schedule),
        names: fc.array(fc.constantFrom(...SCHEDULE_NAMES), {
          minLength: schedule.orders.length,
          maxLength: schedule.orders.length,
        }),
      }),
    );
    fc.assert(
      fc.property(mixtures, ({ schedule, names }) => {
        const orders = names.map((name, worker) => generateSchedule(name, schedule).orders[worker]!);
        const mixed = { ...schedule, orders };
        try {
          validateSchedule(mixed);
        } catch {
          expect(['deadlock', 'message']).toContain(refusalOf(mixed).fault);
          return;
        }
        expect(simulateSchedule(mixed).makespan).toBeGreaterThan(0);
      }),
      { numRuns: 300 },
    );
  });

  it.each(SCHEDULE_NAMES)('%s: where worker 0 does a micro-batch to its end before the next', name => {
    const schedule = placed(name, 6, 3, 4);
    const order = schedule.orders[0]!;
    const rank = { forward: 0, backwardInput: 1, backwardWeight: 2 } as const;
    const oneByOne = order
      .flatMap(action => action.microBatches.map(microBatch => ({ ...action, microBatches: [microBatch] })))
      .sort(
        (one, other) =>
          one.microBatches[0]! - other.microBatches[0]! ||
          rank[one.kind] - rank[other.kind] ||
          (one.kind === 'forward' ? one.stage - other.stage : other.stage - one.stage),
      );
    const error = refusalOf(withOrder(schedule, 0, oneByOne));
    // GPipe goes backwards through the micro-batches, so the order of messages shows it first.
    expect(error.fault).toBe(name === 'gpipe' ? 'message' : 'deadlock');
    if (name !== 'gpipe') expect(error.message).toContain('wait for each other for ever');
  });
});
