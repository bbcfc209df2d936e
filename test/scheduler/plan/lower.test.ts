import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chainTopology } from '#internal/scheduler/plan/chain.js';
import { lower } from '#internal/scheduler/plan/lower.js';
import { forwardOnly } from '#internal/scheduler/plan/schedules/forward-only.js';
import { simulate } from '#internal/scheduler/plan/simulate.js';
import { planSlots, slotCountsOf } from '#internal/scheduler/plan/slots.js';
import { formatAction, formatPrograms } from '#internal/scheduler/plan/text.js';
import { validatePrograms, validateSchedule } from '#internal/scheduler/plan/validate.js';
import { onOwnWorkers, picture, plans } from './support.js';

/** Stage 0 reaches stage 2 over stage 1 and directly; nothing trains below stage 1's input. */
const SKIP = {
  stageCount: 3,
  edges: [
    { from: 0, to: 1, gradient: false },
    { from: 0, to: 2, gradient: true },
    { from: 1, to: 2, gradient: true },
  ],
  fedStages: [0, 2],
  outputStages: [1, 2],
};

describe('lowering', () => {
  it('receives right before use and sends right after making', () => {
    expect(formatPrograms(lower(onOwnWorkers('1f1b', 2, 2), chainTopology(2)))).toBe(
      picture(`
        worker 0: 0F0<driver 0F0 0F0>1 0F1<driver 0F1 0F1>1 0B0<1 0B0 0W0 0B1<1 0B1 0W1 0S
        worker 1: 1F0<driver 1F0<0 1F0 1B0 1B0>0 1W0 1F1<driver 1F1<0 1F1 1B1 1B1>0 1W1 1S
      `),
    );
  });

  it('serves skip edges, the nearer stage first, and sends gradients only where they are needed', () => {
    expect(formatPrograms(lower(onOwnWorkers('gpipe', 3, 1), SKIP))).toBe(
      picture(`
        worker 0: 0F0<driver 0F0 0F0>1 0F0>2 0B0<2 0B0 0W0 0S
        worker 1: 1F0<0 1F0 1F0>2 1B0<2 1B0 1W0 1S
        worker 2: 2F0<driver 2F0<1 2F0<0 2F0 2B0 2B0>1 2B0>0 2W0 2S
      `),
    );
  });

  it('hands outputs over when predicting, after the other stages have been served', () => {
    const schedule = forwardOnly({ stageCount: 3, microBatchCount: 1, workerOfStage: [0, 1, 2] });
    expect(formatPrograms(lower(schedule, { ...SKIP, fedStages: [0] }, { mode: 'predict' }))).toBe(
      picture(`
        worker 0: 0F0<driver 0F0 0F0>1 0F0>2
        worker 1: 1F0<0 1F0 1F0>2 1F0>driver
        worker 2: 2F0<1 2F0<0 2F0 2F0>driver
      `),
    );
  });

  it('lets the owner of tied weights step when it has the gradients of all copies, and then hands the weights out', () => {
    const topology = { ...chainTopology(2), ties: [{ owner: 0, user: 1 }] };
    expect(formatPrograms(lower(onOwnWorkers('1f1b', 2, 1), topology))).toBe(
      picture(`
        worker 0: 0F0<driver 0F0 0F0>1 0B0<1 0B0 0W0 0G<1 0S 0V>1
        worker 1: 1F0<driver 1F0<0 1F0 1B0 1B0>0 1W0 1G>0 1S 1V<0
      `),
    );
  });

  it('exchanges norms before any step when gradients are clipped, tied gradients first', () => {
    const topology = { ...chainTopology(3), ties: [{ owner: 1, user: 2 }] };
    expect(formatPrograms(lower(onOwnWorkers('1f1b', 3, 1), topology, { globalNorm: true }))).toBe(
      picture(`
        worker 0: 0F0<driver 0F0 0F0>1 0B0<1 0B0 0W0 0N<1 0N<2 0T>1 0T>2 0S
        worker 1: 1F0<0 1F0 1F0>2 1B0<2 1B0 1B0>0 1W0 1G<2 1N>0 1T<0 1S 1V>2
        worker 2: 2F0<driver 2F0<1 2F0 2B0 2B0>1 2W0 2G>1 2N>0 2T<0 2S 2V<1
      `),
    );
  });

  it('of exchanges cannot deadlock for any plan, ties and placement', () => {
    fc.assert(
      fc.property(plans, fc.boolean(), ({ schedule, topology }, globalNorm) => {
        const programs = lower(schedule, topology, { globalNorm });
        const slotCounts = slotCountsOf(planSlots(programs, { spareSlots: 0 }));
        validatePrograms(programs, { ...schedule, slotCounts });
        const sent = programs.flat().filter(({ kind }) => kind === 'send');
        const exchanged = sent.filter(action => 'microBatches' in action && action.microBatches.length === 0);
        const norms = globalNorm ? 2 * (schedule.stageCount - 1) : 0;
        expect(exchanged).toHaveLength(2 * (topology.ties?.length ?? 0) + norms);
      }),
    );
  });

  it('feeds but hands nothing over when evaluating', () => {
    const schedule = forwardOnly({ stageCount: 2, microBatchCount: 2, workerOfStage: [0, 0] });
    expect(formatPrograms(lower(schedule, chainTopology(2), { mode: 'evaluate' }))).toBe(
      'worker 0: 0F0<driver 0F0 0F0>1 1F0<driver 1F0<0 1F0 0F1<driver 0F1 0F1>1 1F1<driver 1F1<0 1F1',
    );
  });

  it('steps each stage behind its own last W, not at the end of the worker', () => {
    const schedule = { ...onOwnWorkers('1f1b', 2, 1), workerOfStage: [0, 0] };
    const merged = {
      ...schedule,
      orders: [[...schedule.orders[0]!.slice(0, 1), ...schedule.orders[1]!, ...schedule.orders[0]!.slice(1)]],
    };
    const bare = { ...chainTopology(2), edges: [], fedStages: [] };
    expect(formatPrograms(lower(merged, bare))).toBe('worker 0: 0F0 1F0 1B0 1W0 1S 0B0 0W0 0S');
  });
});

describe('recomputation', () => {
  const recomputes = (name: string, mode: 'never' | 'except-last' | 'always'): string[] =>
    lower(onOwnWorkers(name, 3, 4), chainTopology(3), { recompute: mode }).map(program =>
      program
        .filter(action => action.kind === 'recompute')
        .map(formatAction)
        .join(' '),
    );

  it('stands before the receive of the gradient, so that it runs while that is on its way', () => {
    expect(
      formatPrograms(lower(onOwnWorkers('gpipe', 2, 1), chainTopology(2), { recompute: 'always' })),
    ).toBe(
      picture(`
        worker 0: 0F0<driver 0F0 0F0>1 0R0 0B0<1 0B0 0W0 0S
        worker 1: 1F0<driver 1F0<0 1F0 1R0 1B0 1B0>0 1W0 1S
      `),
    );
  });

  it('is not there unless asked for', () => {
    expect(recomputes('gpipe', 'never')).toEqual(['', '', '']);
  });

  it('always takes every micro-batch', () => {
    expect(recomputes('gpipe', 'always')).toEqual(['0R3 0R2 0R1 0R0', '1R3 1R2 1R1 1R0', '2R3 2R2 2R1 2R0']);
  });

  it('except-last keeps the last micro-batch of every stage under gpipe', () => {
    expect(recomputes('gpipe', 'except-last')).toEqual(['0R2 0R1 0R0', '1R2 1R1 1R0', '2R2 2R1 2R0']);
  });

  it('except-last keeps every tape of the last stage under 1f1b', () => {
    expect(recomputes('1f1b', 'except-last')).toEqual(['0R0 0R1 0R2 0R3', '1R0 1R1 1R2 1R3', '']);
  });
});

describe('random plans', () => {
  it('are accepted with the slots that are planned for them, and no slot makes them slower', () => {
    fc.assert(
      fc.property(
        plans,
        fc.constantFrom('never' as const, 'except-last' as const, 'always' as const),
        (plan, recompute) => {
          const { schedule, topology } = plan;
          const programs = lower(schedule, topology, { recompute });
          const slotCounts = slotCountsOf(planSlots(programs, { spareSlots: 0 }));
          validatePrograms(programs, { ...schedule, slotCounts });
          validateSchedule(schedule, { topology, recompute, slotCounts });
          const bounded = simulate(programs, { slotCounts, miniBatchCount: 2 });
          expect(bounded.makespan).toBe(simulate(programs, { miniBatchCount: 2 }).makespan);
        },
      ),
    );
  });

  it('send what is received, in the same order, once for every edge and micro-batch, and once for every tie', () => {
    fc.assert(
      fc.property(plans, ({ schedule, topology }) => {
        const messages = (kind: 'send' | 'receive'): Map<string, string[]> => {
          const byChannel = new Map<string, string[]>();
          for (const action of lower(schedule, topology).flat()) {
            if (action.kind !== kind || action.peer === 'driver') continue;
            const [from, to] = kind === 'send' ? [action.stage, action.peer] : [action.peer, action.stage];
            const key = `${action.pass} ${from} ${to}`;
            byChannel.set(key, [...(byChannel.get(key) ?? []), action.microBatches.join()]);
          }
          return byChannel;
        };
        const sends = messages('send');
        expect(sends).toEqual(messages('receive'));
        const channels = topology.edges.flatMap(({ from, to, gradient }) =>
          gradient ? [`forward ${from} ${to}`, `backward ${to} ${from}`] : [`forward ${from} ${to}`],
        );
        const exchanges = (topology.ties ?? []).flatMap(({ owner, user }) => [
          `tied-gradient ${user} ${owner}`,
          `tied-weight ${owner} ${user}`,
        ]);
        expect(new Set(sends.keys())).toEqual(new Set([...channels, ...exchanges]));
        const all = Array.from({ length: schedule.microBatchCount }, (_, microBatch) => `${microBatch}`);
        for (const channel of channels) expect(sends.get(channel)!.toSorted()).toEqual(all.toSorted());
        for (const channel of exchanges) expect(sends.get(channel)).toEqual(['']);
      }),
    );
  });

  it('also run forwards alone', () => {
    fc.assert(
      fc.property(
        plans,
        fc.constantFrom('evaluate' as const, 'predict' as const),
        ({ schedule, topology }, mode) => {
          const forwards = forwardOnly(schedule);
          validateSchedule(forwards, { topology, mode });
          const programs = lower(forwards, topology, { mode });
          validatePrograms(programs, { ...forwards, mode, slotCounts: slotCountsOf(planSlots(programs)) });
          const handedOver = programs
            .flat()
            .filter(action => action.kind === 'send' && action.peer === 'driver');
          const expected = mode === 'predict' ? topology.outputStages.length * schedule.microBatchCount : 0;
          expect(handedOver).toHaveLength(expected);
        },
      ),
    );
  });
});
