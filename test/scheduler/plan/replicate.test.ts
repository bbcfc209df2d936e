import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isExchange } from '#internal/protocol/action.js';
import {
  chainTopology,
  formatPrograms,
  lower,
  planSlots,
  replicateSchedule,
  replicateTopology,
  simulateSchedule,
  slotCountsOf,
  validatePrograms,
} from '#internal/scheduler/plan/index.js';
import { onOwnWorkers, picture, plans } from './support.js';

describe('replicas', () => {
  it('go on counting stages and workers, and exchange gradients and weights around their steps', () => {
    const schedule = replicateSchedule(onOwnWorkers('1f1b', 2, 1), 2);
    // The first stage has weights for both to step, the second one for the first replica alone.
    const topology = replicateTopology(chainTopology(2), 2, [[0, 1], [0]]);
    expect(schedule).toMatchObject({ stageCount: 4, microBatchCount: 1, workerOfStage: [0, 1, 2, 3] });
    expect(formatPrograms(lower(schedule, topology))).toBe(
      picture(`
        worker 0: 0F0<driver 0F0 0F0>1 0B0<1 0B0 0W0 0P>2 0P<2 0S 0U>2 0U<2
        worker 1: 1F0<driver 1F0<0 1F0 1B0 1B0>0 1W0 1P<3 1S 1U>3
        worker 2: 2F0<driver 2F0 2F0>3 2B0<3 2B0 2W0 2P>0 2P<0 2S 2U>0 2U<0
        worker 3: 3F0<driver 3F0<2 3F0 3B0 3B0>2 3W0 3P>1 3S 3U<1
      `),
    );
  });

  it('of any plan, with ties and clipping, cannot deadlock, and each does what one alone does', () => {
    const replicaCounts = fc.integer({ min: 2, max: 4 });
    const cases = replicaCounts.chain(replicas =>
      fc.record({
        replicas: fc.constant(replicas),
        plan: plans,
        steppers: fc.array(fc.subarray(Array.from({ length: replicas }, (_, replica) => replica)), {
          minLength: 6,
          maxLength: 6,
        }),
        globalNorm: fc.boolean(),
      }),
    );
    fc.assert(
      fc.property(cases, ({ replicas, plan, steppers, globalNorm }) => {
        const stageCount = plan.schedule.stageCount;
        const stepping = steppers.slice(0, stageCount);
        const schedule = replicateSchedule(plan.schedule, replicas);
        const topology = replicateTopology(plan.topology, replicas, stepping);
        const programs = lower(schedule, topology, { globalNorm });
        const slotCounts = slotCountsOf(planSlots(programs, { spareSlots: 0 }));
        validatePrograms(programs, { ...schedule, slotCounts });
        const messages = programs.flat().filter(action => isExchange(action) && /^replica/.test(action.pass));
        const pairs = stepping.reduce((sum, { length }) => sum + length * (replicas - 1), 0);
        // A gradient and a weight, each sent and received.
        expect(messages).toHaveLength(4 * pairs);
        const alone = simulateSchedule(plan.schedule, { topology: plan.topology }).makespan;
        expect(simulateSchedule(schedule, { topology }).makespan).toBe(alone);
      }),
    );
  });

  it('of one replica are the schedule itself', () => {
    fc.assert(
      fc.property(plans, ({ schedule, topology }) => {
        expect(replicateSchedule(schedule, 1)).toEqual(schedule);
        const none = topology.edges.map(() => []);
        expect(replicateTopology({ ties: [], ...topology }, 1, none)).toEqual({
          ties: [],
          ...topology,
          replicaTies: [],
        });
      }),
    );
  });
});
