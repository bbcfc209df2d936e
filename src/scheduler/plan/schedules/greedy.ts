/**
 * An order made for measured costs and for what workers may keep, where other schedules have one form for all. It is the best,
 * by simulated makespan, of what list scheduling makes with each of its rules, of 1F1B and of zero-bubble, as far as they keep
 * within the limits: so it is never worse than those two.
 *
 * Without limits of its own it keeps no more live micro-batches than zero-bubble would.
 */
import type { Schedule } from '../../../protocol/schedule.js';
import { type ActionCost, unitCost } from '../costs.js';
import { simulateSchedule } from '../simulate.js';
import { peakLive } from '../simulation/live.js';
import { LIST_RULES, listSchedule } from './list-scheduler.js';
import { keepsWithin, MemoryBudget } from './memory-budget.js';
import { oneFOneB } from './one-f-one-b.js';
import { checkParams, type ScheduleGenerator } from './params.js';
import { zeroBubble } from './zero-bubble.js';

export const greedy: ScheduleGenerator = params => {
  checkParams(params);
  const { cost = unitCost, limits } = params;
  const known = [zeroBubble(params), oneFOneB(params)];
  const kept = limits ?? { liveLimit: peakLive(known[0]!.orders).ofWorker };
  const listed = LIST_RULES.map(
    (rule): Schedule => ({
      ...known[0]!,
      orders: listSchedule(params, new MemoryBudget(params, kept), rule).orders,
    }),
  );
  const allowed = [...known.filter(({ orders }) => keepsWithin(orders, params, kept)), ...listed];
  const judged = allowed.map(schedule => ({ schedule, ...judge(schedule, cost) }));
  const best = judged.reduce((least, one) => (isShorter(one, least) ? one : least));
  return { ...best.schedule, name: 'greedy' };
};

interface Length {
  readonly makespan: number;
  /** The longest time from a worker's first F to its last end: what the next mini-batch waits for. */
  readonly span: number;
}

function judge(schedule: Schedule, cost: ActionCost): Length {
  const { makespan, times, programs } = simulateSchedule(schedule, { cost });
  const spans = times.map(({ start, end }, worker) => {
    const first = programs[worker]!.findIndex(({ kind }) => kind === 'forward');
    return end.at(-1)! - start[first]!;
  });
  return { makespan, span: Math.max(...spans) };
}

function isShorter(one: Length, other: Length): boolean {
  return one.makespan < other.makespan || (one.makespan === other.makespan && one.span < other.span);
}
