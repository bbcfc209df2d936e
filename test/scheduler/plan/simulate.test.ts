import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chainTopology } from '#internal/scheduler/plan/chain.js';
import { lower } from '#internal/scheduler/plan/lower.js';
import { place } from '#internal/scheduler/plan/placement.js';
import { forwardOnly } from '#internal/scheduler/plan/schedules/forward-only.js';
import { generateSchedule } from '#internal/scheduler/plan/schedules/index.js';
import { simulate, simulateSchedule } from '#internal/scheduler/plan/simulate.js';
import { planSlots, slotCountsOf } from '#internal/scheduler/plan/slots.js';
import { formatAction, parsePrograms, parseSchedule } from '#internal/scheduler/plan/text.js';
import { onOwnWorkers, plans } from './support.js';

const HANDOVER = parsePrograms(
  `
  worker 0: 0F0 0F0>1 0F1 0F1>1 0F2 0F2>1
  worker 1: 1F0<0 1F0 1F1<0 1F1 1F2<0 1F2
`.replaceAll('  worker', 'worker'),
);

describe('times', () => {
  it('follow the costs that are given', () => {
    const cost = (action: Parameters<typeof formatAction>[0]): number =>
      ({ '0F0': 2, '0F1': 3, '0F0>1': 0.5, '1F0': 4, '1F1<0': 1 })[formatAction(action)] ?? 0;
    const { makespan, times, workers, bubbleFraction } = simulate(HANDOVER, { cost });
    expect([...times[0]!.start]).toEqual([0, 2, 2.5, 5.5, 5.5, 5.5]);
    expect([...times[1]!.start]).toEqual([2.5, 2.5, 6.5, 7.5, 7.5, 7.5]);
    expect([...times[1]!.end]).toEqual([2.5, 6.5, 7.5, 7.5, 7.5, 7.5]);
    expect(makespan).toBe(7.5);
    expect(workers).toEqual([
      { busy: 5.5, idle: 2, bubbleFraction: 2 / 7.5 },
      { busy: 5, idle: 2.5, bubbleFraction: 2.5 / 7.5 },
    ]);
    expect(bubbleFraction).toBeCloseTo(4.5 / 15, 12);
  });

  it('go on over mini-batches without a barrier', () => {
    const forwards = forwardOnly({ stageCount: 4, microBatchCount: 4, workerOfStage: [0, 1, 2, 3] });
    const makespan = (miniBatchCount: number): number =>
      simulateSchedule(forwards, { mode: 'evaluate', miniBatchCount }).makespan;
    expect([1, 2, 3].map(makespan)).toEqual([7, 11, 15]);
    // In training worker 0 is the first to begin and the last to end; the others begin early all the same.
    const { times, programs } = simulateSchedule(onOwnWorkers('1f1b', 4, 4), { miniBatchCount: 2 });
    const idleBetween = programs.map((program, worker) => {
      const { start, end } = times[worker]!;
      const firstForward = program.findIndex(action => action.kind === 'forward');
      return start[program.length + firstForward]! - end[program.length - 1]!;
    });
    expect(times.map(({ start }) => start.length)).toEqual(programs.map(({ length }) => 2 * length));
    expect(idleBetween).toEqual([0, 2, 4, 6]);
  });

  it('never overlap on a worker, and every message ends before its receive starts', () => {
    const costs = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 7, maxLength: 7 });
    fc.assert(
      fc.property(plans, costs, ({ schedule, topology }, prices) => {
        const programs = lower(schedule, topology);
        let salt = 0;
        const drawn = new Map<string, number>();
        const cost = (action: (typeof programs)[number][number]): number => {
          const text = formatAction(action);
          if (!drawn.has(text)) drawn.set(text, prices[salt++ % prices.length]!);
          return drawn.get(text)!;
        };
        const slotCounts = slotCountsOf(planSlots(programs));
        const { times, makespan } = simulate(programs, { cost, slotCounts });
        const sendEnds = new Map<string, number>();
        programs.forEach((program, worker) => {
          const { start, end } = times[worker]!;
          program.forEach((action, index) => {
            if (index > 0) expect(start[index]).toBeGreaterThanOrEqual(end[index - 1]!);
            expect(end[index]! - start[index]!).toBe(drawn.get(formatAction(action)));
            expect(end[index]).toBeLessThanOrEqual(
              makespan + times.reduce((least, t) => Math.min(least, t.start[0]!), Infinity),
            );
            if (action.kind === 'send')
              sendEnds.set(
                `${action.pass} ${action.stage} ${action.peer} ${action.microBatches}`,
                end[index]!,
              );
          });
        });
        programs.forEach((program, worker) => {
          program.forEach((action, index) => {
            if (action.kind !== 'receive' || action.peer === 'driver') return;
            const sent = sendEnds.get(
              `${action.pass} ${action.peer} ${action.stage} ${action.microBatches}`,
            )!;
            expect(times[worker]!.start[index]).toBeGreaterThanOrEqual(sent);
          });
        });
      }),
    );
  });

  it('refuse costs that are no durations', () => {
    expect(() => simulate(HANDOVER, { cost: () => -1 })).toThrow(
      'cost of 0F0 must be a finite number of at least 0, got -1',
    );
    expect(() => simulate(HANDOVER, { cost: () => Number.NaN })).toThrow('got NaN');
  });
});

describe('slots', () => {
  it('make a sender wait until the receiver has made its last use', () => {
    const starts = (slots: number): number[] => {
      const { times } = simulate(HANDOVER, {
        cost: action => (formatAction(action) === '1F0' ? 10 : action.kind === 'forward' ? 1 : 0),
        slotCounts: new Map([['F0>1', slots]]),
      });
      return [1, 3, 5].map(index => times[0]!.start[index]!);
    };
    expect(starts(3)).toEqual([1, 2, 3]);
    expect(starts(2)).toEqual([1, 2, 11]);
    expect(starts(1)).toEqual([1, 11, 12]);
  });

  it('are held until the end of W in training', () => {
    const [stage0, stage1] = [
      '0F0 0F0>1 0F1 0F1>1 0B0<1 0B0 0W0 0B1<1 0B1 0W1',
      '1F0<0 1F0 1B0 1B0>0 1F1<0 1F1 1B1 1B1>0 1W0,1',
    ];
    const programs = parsePrograms(`worker 0: ${stage0}\nworker 1: ${stage1}`);
    expect(simulate(programs).channels.find(({ id }) => id === 'F0>1')).toMatchObject({
      messageCount: 2,
      peakOccupancy: 2,
    });
    // With one slot, the second activation waits for a W that needs it.
    expect(() => simulate(programs, { slotCounts: new Map([['F0>1', 1]]) })).toThrow(
      'release a slot of channel F0>1',
    );
  });

  it('of a feed come back only from the stage that is fed', () => {
    const programs = parsePrograms('worker 0: 0F0<driver 0F0 0F1<driver 0F1 0B1 0W1 0B0 0W0');
    expect(simulate(programs, { slotCounts: new Map([['Fdriver>0', 2]]) }).makespan).toBe(6);
    expect(() => simulate(programs, { slotCounts: new Map([['Fdriver>0', 1]]) })).toThrow(
      'worker 0 at 0F1<driver waits for itself to release a slot of channel Fdriver>0',
    );
  });

  it('number two mini-batches for the driver, and the peak and one spare between stages', () => {
    const programs = lower(onOwnWorkers('1f1b', 4, 8), chainTopology(4));
    const planned = planSlots(programs).map(({ id, slotCount }) => `${id}:${slotCount}`);
    expect(planned).toEqual([
      'Fdriver>0:16',
      'F0>1:5',
      'B1>0:2',
      'F1>2:4',
      'B2>1:2',
      'F2>3:3',
      'B3>2:2',
      'Fdriver>3:16',
    ]);
    const generous = planSlots(programs, { spareSlots: 100 });
    expect(new Set(generous.map(({ slotCount }) => slotCount))).toEqual(new Set([16]));
  });

  it('grow with the peak that measured costs bring', () => {
    const programs = lower(onOwnWorkers('1f1b', 2, 8), {
      ...chainTopology(2),
      edges: [{ from: 0, to: 1, gradient: false }],
    });
    const slots = (slowStage: number): number | undefined => {
      const cost = (action: (typeof programs)[number][number]): number =>
        action.stage === slowStage ? 5 : 1;
      return slotCountsOf(planSlots(programs, { cost, spareSlots: 0 })).get('F0>1');
    };
    expect(slots(0)).toBeLessThan(slots(1)!);
  });
});

describe('deadlock', () => {
  it('is explained wait by wait', () => {
    const schedule = parseSchedule(
      'schedule stuck stages=2 micro-batches=2 placement=0,1\n' +
        'worker 0: 0F0 0B0 0W0 0F1 0B1 0W1\n' +
        'worker 1: 1F0 1F1 1B0 1W0 1B1 1W1',
    );
    expect(() => simulateSchedule(schedule)).toThrow(
      'the workers would wait for each other for ever:\n' +
        '  worker 0 at 0B0<1 waits for worker 1 to send on channel B1>0\n' +
        '  worker 1 at 1F1<0 waits for worker 0 to send on channel F0>1\n',
    );
  });
});

describe('size', () => {
  it('64 stages and 512 micro-batches are simulated exactly', () => {
    const schedule = generateSchedule('1f1b', {
      stageCount: 64,
      microBatchCount: 512,
      workerOfStage: place(64, 64),
    });
    const { makespan, peakLiveOfStage } = simulateSchedule(schedule);
    expect(makespan).toBe(3 * 512 + 2 * 63);
    expect(peakLiveOfStage).toEqual(schedule.workerOfStage.map(r => 64 - r));
  });
});
