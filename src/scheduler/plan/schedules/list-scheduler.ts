/**
 * List scheduling (Graham 1969): the order of work as it comes out when every worker, whenever it is free, takes the most urgent of
 * what it could do at that moment. It is the idea of the automatic schedules of Zero Bubble (arXiv 2401.10241, section 3.1;
 * sail-sg/zero-bubble-pipeline-parallelism): B goes first because other workers wait for it, F as far as memory
 * allows, and W, for which nobody waits, fills the gaps.
 *
 * Rules of this kind are good rather than best, and which one is best differs from case to case. So there are several, and those who
 * call compare what comes out.
 *
 * Why no order deadlocks: an action is only put into a worker's list when all that it needs is in a list already. So the order in
 * which actions were put in is one in which they can be run, whatever they cost in the end. And it always goes on to the
 * end: `memory-budget.ts` shows that memory never stops everybody.
 */
import type { ComputeAction, MessageAction } from '../../../protocol/action.js';
import { type ActionCost, unitCost } from '../costs.js';
import { type MemoryBudget, stagesOfWorkers } from './memory-budget.js';
import { type ScheduleParams, singleMicroBatches } from './params.js';
import { TimeHeap } from './time-heap.js';

export interface ListRule {
  /**
   * What goes first where both could start: B always, or F and B in turn. `strict-turns` makes room for an F whose turn it is and
   * that memory has no room for, by a W, before another B.
   */
  readonly first: 'backward' | 'turns' | 'strict-turns';
  /** Of B's in several stages: that of the last stage, or of the first. Of F's, that of the last stage always. */
  readonly backward: 'last-stage' | 'first-stage';
  /** Whether to leave a gap empty rather than begin a W that would delay a B or F known to come. */
  readonly patient: boolean;
}

/** All of them. */
export const LIST_RULES: readonly ListRule[] = (['backward', 'turns', 'strict-turns'] as const).flatMap(
  first =>
    (['last-stage', 'first-stage'] as const).flatMap(backward =>
      [false, true].map(patient => ({ first, backward, patient })),
    ),
);

export interface ListedOrders {
  readonly orders: readonly (readonly ComputeAction[])[];
  /** From the first start to the last end, at the costs that the orders were made for. */
  readonly makespan: number;
}

export function listSchedule(params: ScheduleParams, budget: MemoryBudget, rule: ListRule): ListedOrders {
  const scheduler = new ListScheduler(params, budget, rule);
  const makespan = scheduler.run();
  return { orders: scheduler.orders.map(gatherLastWeights), makespan };
}

const NOT_YET = Number.POSITIVE_INFINITY;

interface Choice {
  readonly kind: ComputeAction['kind'];
  readonly stage: number;
}

class ListScheduler {
  readonly orders: ComputeAction[][];
  readonly #budget: MemoryBudget;
  readonly #rule: ListRule;
  readonly #stageCount: number;
  readonly #microBatches: readonly (readonly number[])[];
  readonly #workerOfStage: readonly number[];
  readonly #stagesOfWorker: readonly (readonly number[])[];
  readonly #durations: Durations;
  /** By stage: how many F's, B's and W's have been put into a list. Micro-batches go in order. */
  readonly #forwardsDone: Int32Array;
  readonly #backwardsDone: Int32Array;
  readonly #weightsDone: Int32Array;
  /** By stage and micro-batch: when the activation or the gradient arrives. */
  readonly #activationAt: readonly Float64Array[];
  readonly #gradientAt: readonly Float64Array[];
  /** By worker. */
  readonly #freeAt: Float64Array;
  readonly #didForwardLast: boolean[];
  readonly #isRefusedMemory: boolean[];
  readonly #decisions = new TimeHeap();

  constructor(params: ScheduleParams, budget: MemoryBudget, rule: ListRule) {
    const { stageCount, microBatchCount, workerOfStage, cost = unitCost } = params;
    this.#budget = budget;
    this.#rule = rule;
    this.#stageCount = stageCount;
    this.#microBatches = singleMicroBatches(microBatchCount);
    this.#workerOfStage = workerOfStage;
    this.#stagesOfWorker = stagesOfWorkers(workerOfStage);
    this.#durations = new Durations(cost, stageCount);
    this.#forwardsDone = new Int32Array(stageCount);
    this.#backwardsDone = new Int32Array(stageCount);
    this.#weightsDone = new Int32Array(stageCount);
    const times = (): Float64Array[] =>
      Array.from({ length: stageCount }, () => new Float64Array(microBatchCount).fill(NOT_YET));
    this.#activationAt = times();
    this.#activationAt[0]!.fill(0);
    this.#gradientAt = times();
    this.#freeAt = new Float64Array(this.#stagesOfWorker.length);
    this.orders = this.#stagesOfWorker.map(() => []);
    this.#didForwardLast = this.#stagesOfWorker.map(() => false);
    this.#isRefusedMemory = this.#stagesOfWorker.map(() => false);
  }

  /** @returns the makespan */
  run(): number {
    for (const worker of this.#stagesOfWorker.keys()) this.#decisions.push(0, worker);
    for (let next = this.#decisions.pop(); next !== undefined; next = this.#decisions.pop()) {
      const { time, worker } = next;
      if (this.#freeAt[worker]! > time) continue;
      const choice = this.#choose(worker, time);
      if (choice !== undefined) this.#start(choice, worker, time);
    }
    return this.#freeAt.reduce((last, time) => Math.max(last, time), 0);
  }

  /** Undefined: it waits, and somebody will wake it. */
  #choose(worker: number, time: number): Choice | undefined {
    let forward: number | undefined;
    let backward: number | undefined;
    let weight: number | undefined;
    let soon = NOT_YET;
    let lacksRoom = false;
    this.#isRefusedMemory[worker] = false;
    for (const stage of this.#stagesOfWorker[worker]!) {
      const forwards = this.#forwardsDone[stage]!;
      const backwards = this.#backwardsDone[stage]!;
      const activationAt = this.#activationAt[stage]![forwards] ?? NOT_YET;
      if (activationAt < NOT_YET) {
        if (!this.#budget.admits(stage)) {
          this.#isRefusedMemory[worker] = true;
          lacksRoom ||= activationAt <= time;
        } else if (activationAt <= time) forward = stage;
        else soon = Math.min(soon, activationAt);
      }
      const gradientAt = this.#gradientAt[stage]![backwards] ?? NOT_YET;
      if (gradientAt > time) soon = Math.min(soon, gradientAt);
      else if (backward === undefined || this.#rule.backward === 'last-stage') backward = stage;
      const weights = this.#weightsDone[stage]!;
      if (weights < backwards && (weight === undefined || weights < this.#weightsDone[weight]!))
        weight = stage;
    }
    const isForwardsTurn = this.#rule.first !== 'backward' && !this.#didForwardLast[worker];
    if (isForwardsTurn && forward !== undefined) return { kind: 'forward', stage: forward };
    const makesRoom = isForwardsTurn && lacksRoom && this.#rule.first === 'strict-turns';
    if (makesRoom && weight !== undefined) return { kind: 'backwardWeight', stage: weight };
    if (backward !== undefined) return { kind: 'backwardInput', stage: backward };
    if (forward !== undefined) return { kind: 'forward', stage: forward };
    if (weight === undefined) return undefined;
    if (this.#rule.patient && time + this.#durations.weight(weight, this.#named(weight)) > soon)
      return undefined;
    return { kind: 'backwardWeight', stage: weight };
  }

  /** What the next W of a stage names. */
  #named(stage: number): readonly number[] {
    return this.#microBatches[this.#weightsDone[stage]!]!;
  }

  #start({ kind, stage }: Choice, worker: number, time: number): void {
    let end: number;
    let microBatches: readonly number[];
    if (kind === 'forward') {
      const microBatch = this.#forwardsDone[stage]!++;
      microBatches = this.#microBatches[microBatch]!;
      end = time + this.#durations.forward(stage, microBatches);
      if (this.#budget.take(stage)) this.#wakeRefused(time);
      if (stage === this.#stageCount - 1) this.#gradientAt[stage]![microBatch] = end;
      else this.#deliver(this.#activationAt, stage + 1, microBatch, end);
    } else if (kind === 'backwardInput') {
      const microBatch = this.#backwardsDone[stage]!++;
      microBatches = this.#microBatches[microBatch]!;
      end = time + this.#durations.backward(stage, microBatches);
      if (stage > 0) this.#deliver(this.#gradientAt, stage - 1, microBatch, end);
    } else {
      microBatches = this.#named(stage);
      end = time + this.#durations.weight(stage, microBatches);
      this.#weightsDone[stage]!++;
      this.#budget.giveBack(stage);
    }
    if (kind !== 'backwardWeight') this.#didForwardLast[worker] = kind === 'forward';
    this.orders[worker]!.push({ kind, stage, microBatches });
    this.#freeAt[worker] = end;
    this.#decisions.push(end, worker);
  }

  #deliver(arrivals: readonly Float64Array[], stage: number, microBatch: number, time: number): void {
    arrivals[stage]![microBatch] = time;
    this.#decisions.push(time, this.#workerOfStage[stage]!);
  }

  #wakeRefused(time: number): void {
    for (const [worker, isRefused] of this.#isRefusedMemory.entries()) {
      if (isRefused) this.#decisions.push(time, worker);
    }
  }
}

/** Times of compute actions over a chain of stages, with the messages that lowering puts around them. */
class Durations {
  readonly #cost: ActionCost;
  readonly #lastStage: number;

  constructor(cost: ActionCost, stageCount: number) {
    this.#cost = cost;
    this.#lastStage = stageCount - 1;
  }

  forward(stage: number, microBatches: readonly number[]): number {
    const message = { stage, microBatches, pass: 'forward' } as const;
    return (
      this.#message({ ...message, kind: 'receive', peer: stage - 1 }) +
      this.#cost({ kind: 'forward', stage, microBatches }) +
      this.#message({ ...message, kind: 'send', peer: stage + 1 })
    );
  }

  backward(stage: number, microBatches: readonly number[]): number {
    const message = { stage, microBatches, pass: 'backward' } as const;
    return (
      this.#message({ ...message, kind: 'receive', peer: stage + 1 }) +
      this.#cost({ kind: 'backwardInput', stage, microBatches }) +
      this.#message({ ...message, kind: 'send', peer: stage - 1 })
    );
  }

  weight(stage: number, microBatches: readonly number[]): number {
    return this.#cost({ kind: 'backwardWeight', stage, microBatches });
  }

  /** Free where there is no stage on the other side. */
  #message(action: MessageAction & { readonly peer: number }): number {
    return action.peer >= 0 && action.peer <= this.#lastStage ? this.#cost(action) : 0;
  }
}

/** The W's behind a worker's last B, in one action a stage: one larger product for layers that can. Nobody waits for them. */
function gatherLastWeights(order: readonly ComputeAction[]): readonly ComputeAction[] {
  const end = order.findLastIndex(({ kind }) => kind !== 'backwardWeight') + 1;
  const ofStage = new Map<number, number[]>();
  for (const { stage, microBatches } of order.slice(end)) {
    const gathered = ofStage.get(stage) ?? [];
    gathered.push(...microBatches);
    ofStage.set(stage, gathered);
  }
  const gathered = [...ofStage].map(
    ([stage, microBatches]): ComputeAction => ({ kind: 'backwardWeight', stage, microBatches }),
  );
  return [...order.slice(0, end), ...gathered];
}
