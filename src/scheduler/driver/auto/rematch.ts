/**
 * Two plans that are about as fast, timed in turns until one has proved faster.
 *
 * Timed once each, the later one has the better chances, since V8 goes on compiling what both run; and what else the machine does
 * changes by more from second to second than the plans differ: two replicas of a CNN took 32 ms in one stretch and 42 in the next.
 * What is timed in turns has met the same.
 */
import { median } from '../../../median.js';
import { isSamePlan, type ModelPlan } from '../model-plan.js';

/** Who wins the first two rounds has won; else there is a third. */
const LEAST_ROUNDS = 2;
const MOST_ROUNDS = 3;

/** Of plan, the last one to the winner. */
export const MOST_CHANGES = MOST_ROUNDS + 1;

interface Contender {
  readonly plan: ModelPlan;
  readonly timesMs: number[];
}

export class Rematch {
  readonly #contenders: readonly [Contender, Contender];
  #last: Contender;

  /** @param earlier wins where neither is faster */
  constructor(earlier: ModelPlan, later: ModelPlan) {
    const contend = (plan: ModelPlan): Contender => ({ plan, timesMs: [] });
    this.#contenders = [contend(earlier), contend(later)];
    this.#last = this.#contenders[0];
  }

  /** The same two from the beginning. */
  again(): Rematch {
    const [earlier, later] = this.#contenders;
    return new Rematch(earlier.plan, later.plan);
  }

  isBetween(plan: ModelPlan): boolean {
    return this.#contenderOf(plan) !== undefined;
  }

  /** What is timed out of turn counts nothing: a stretch of training begins with what is in place, whoever's turn it is. */
  record(plan: ModelPlan, periodMs: number): void {
    const contender = this.#contenderOf(plan);
    if (contender === undefined || this.next === undefined) return;
    const fewest = Math.min(...this.#contenders.map(({ timesMs }) => timesMs.length));
    if (contender.timesMs.length > fewest) return;
    contender.timesMs.push(periodMs);
    this.#last = contender;
  }

  #contenderOf(plan: ModelPlan): Contender | undefined {
    return this.#contenders.find(one => isSamePlan(one.plan, plan));
  }

  /** Which is to be timed; `undefined` when it is decided. A round begins with the plan that the one before has ended with. */
  get next(): ModelPlan | undefined {
    const [earlier, later] = this.#contenders;
    if (earlier.timesMs.length < later.timesMs.length) return earlier.plan;
    if (later.timesMs.length < earlier.timesMs.length) return later.plan;
    return this.#isDecided ? undefined : this.#last.plan;
  }

  /** The median of a plan's times, and of two their mean; `undefined` for a plan that has none here. */
  periodMs(plan: ModelPlan): number | undefined {
    const contender = this.#contenderOf(plan);
    return contender && median(contender.timesMs);
  }

  /** The one that was faster in more rounds, once that is decided. Not by its median: a round may straddle a change of the machine. */
  get winner(): ModelPlan | undefined {
    if (this.next !== undefined) return undefined;
    const [earlier, later] = this.#contenders;
    return (this.#lead < 0 ? later : earlier).plan;
  }

  get #isDecided(): boolean {
    const rounds = this.#contenders[0].timesMs.length;
    return rounds >= MOST_ROUNDS || (rounds >= LEAST_ROUNDS && Math.abs(this.#lead) === rounds);
  }

  /** Rounds that the earlier plan has won, less those of the later one. */
  get #lead(): number {
    const [earlier, later] = this.#contenders;
    return earlier.timesMs.reduce(
      (lead, timeMs, round) => lead + Math.sign(later.timesMs[round]! - timeMs),
      0,
    );
  }
}
