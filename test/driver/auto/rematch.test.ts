/** Two plans in turns: who is timed when, and who wins. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Rematch } from '#internal/scheduler/driver/auto/rematch.js';
import type { ModelPlan } from '#internal/scheduler/driver/model-plan.js';

function planOf(replicas: number): ModelPlan {
  return {
    cut: { cuts: [], stages: [0] },
    replicas,
    schedule: { name: 'zero-bubble', microBatchCount: 1, workerOfStage: [] },
  } as unknown as ModelPlan;
}

const EARLIER = planOf(1);
const LATER = planOf(2);

/** Times both until it is decided. */
function play(rematch: Rematch, timeMs: (plan: ModelPlan, round: number) => number): ModelPlan[] {
  const played: ModelPlan[] = [];
  for (let next = rematch.next; next !== undefined; next = rematch.next) {
    rematch.record(next, timeMs(next, played.filter(plan => plan === next).length));
    played.push(next);
    if (played.length > 100) throw new Error('it goes on and on');
  }
  return played;
}

const times = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 3, maxLength: 3 });

describe('a rematch', () => {
  it('ends after three rounds at most, with as many times of either and few changes of plan', () => {
    fc.assert(
      fc.property(times, times, (earlier, later) => {
        const rematch = new Rematch(EARLIER, LATER);
        const played = play(rematch, (plan, round) => (plan === EARLIER ? earlier : later)[round]!);
        const rounds = played.length / 2;
        expect(played.filter(plan => plan === EARLIER)).toHaveLength(rounds);
        const changes = played.filter((plan, index) => index > 0 && plan !== played[index - 1]);
        expect(changes).toHaveLength(rounds);
        const wins = earlier.map((timeMs, round) => Math.sign(timeMs - later[round]!));
        expect(rounds).toBe(wins[0] === wins[1] && wins[0] !== 0 ? 2 : 3);
        const lead = wins.slice(0, rounds).reduce((sum, win) => sum + win, 0);
        expect(rematch.winner).toBe(lead > 0 ? LATER : EARLIER);
        const middle = (list: readonly number[]): number => {
          const sorted = list.slice(0, rounds).sort((a, b) => a - b);
          return rounds === 2 ? (sorted[0]! + sorted[1]!) / 2 : sorted[1]!;
        };
        expect([rematch.periodMs(EARLIER), rematch.periodMs(LATER)]).toEqual([earlier, later].map(middle));
      }),
    );
  });

  it('counts what was timed before it, and nothing of a third plan', () => {
    const rematch = new Rematch(EARLIER, LATER);
    rematch.record(LATER, 5);
    rematch.record(planOf(4), 1);
    expect([rematch.next, rematch.winner, rematch.periodMs(EARLIER)]).toEqual([
      EARLIER,
      undefined,
      undefined,
    ]);
    expect(play(rematch, plan => (plan === EARLIER ? 4 : 5))).toEqual([EARLIER, EARLIER, LATER]);
    expect([rematch.winner, rematch.periodMs(planOf(4))]).toEqual([EARLIER, undefined]);
  });

  it('does not count what is timed out of turn, or after its end', () => {
    const rematch = new Rematch(EARLIER, LATER);
    rematch.record(LATER, 5);
    rematch.record(LATER, 1);
    expect([rematch.next, rematch.periodMs(LATER)]).toEqual([EARLIER, 5]);
    play(rematch, plan => (plan === EARLIER ? 4 : 5));
    rematch.record(EARLIER, 9);
    expect([rematch.next, rematch.winner, rematch.periodMs(EARLIER)]).toEqual([undefined, EARLIER, 4]);
    const again = rematch.again();
    expect([again.next, again.periodMs(EARLIER), again.isBetween(LATER)]).toEqual([EARLIER, undefined, true]);
    expect(again.isBetween(planOf(4))).toBe(false);
  });
});
