/**
 * What workers keep of micro-batches between F and W, held against limits, so that no order ends in a deadlock of memory: several
 * micro-batches that have begun, and no room left for any of them to go on to its B's.
 *
 * It is Dijkstra's banker with one rule, because all micro-batches ask for the same: all stages of a worker at once at the
 * turn from F to B. Let i be the first micro-batch whose F's are not all done. Earlier ones need nothing more and will give back
 * everything. So i can always go on if, on every worker, all of i fits beside what later micro-batches hold:
 *
 *   Σ over the worker's stages of size × max(F's done of micro-batches from i on, 1)  ≤  limit
 *
 * An F that keeps to this, and fits beside what is live now, may start. When i is done, the sum for i + 1 is no larger.
 */
import type { ComputeAction } from '../../../protocol/action.js';
import { ScheduleError } from '../errors.js';
import type { LiveLimit } from '../validate/memory.js';
import type { ActivationLimits, ScheduleParams } from './params.js';

/** One kind of memory: what a stage takes of it for a micro-batch, and how much a worker has. */
interface Resource {
  readonly unit: string;
  readonly sizes: readonly number[];
  readonly limits: readonly number[];
}

export class MemoryBudget {
  readonly #resources: readonly Resource[];
  readonly #workerOfStage: readonly number[];
  readonly #stagesOfWorker: readonly (readonly number[])[];
  /** By resource and worker. */
  readonly #live: readonly number[][];
  readonly #forwardsDone: number[];
  #oldest = 0;

  constructor({ stageCount, workerOfStage }: ScheduleParams, limits: ActivationLimits) {
    this.#resources = resourcesOf(stageCount, workerOfStage, limits);
    this.#workerOfStage = workerOfStage;
    this.#stagesOfWorker = stagesOfWorkers(workerOfStage);
    this.#live = this.#resources.map(() => this.#stagesOfWorker.map(() => 0));
    this.#forwardsDone = Array.from({ length: stageCount }, () => 0);
  }

  /** Whether the next F of a stage may start. */
  admits(stage: number): boolean {
    const worker = this.#workerOfStage[stage]!;
    return this.#resources.every(({ sizes, limits }, index) => {
      const limit = limits[worker]!;
      if (this.#live[index]![worker]! + sizes[stage]! > limit) return false;
      let claim = 0;
      for (const other of this.#stagesOfWorker[worker]!) {
        const done = this.#forwardsDone[other]! + (other === stage ? 1 : 0);
        claim += sizes[other]! * Math.max(done - this.#oldest, 1);
      }
      return claim <= limit;
    });
  }

  /** Counts an F. Says whether others that were not admitted may be now. */
  take(stage: number): boolean {
    this.#change(stage, 1);
    this.#forwardsDone[stage]!++;
    if (stage < this.#forwardsDone.length - 1) return false;
    // A chain: the last stage does a micro-batch when all the others have.
    this.#oldest = this.#forwardsDone[stage]!;
    return true;
  }

  /** Counts the W of one micro-batch. */
  giveBack(stage: number): void {
    this.#change(stage, -1);
  }

  #change(stage: number, count: number): void {
    const worker = this.#workerOfStage[stage]!;
    for (const [index, { sizes }] of this.#resources.entries()) {
      this.#live[index]![worker]! += count * sizes[stage]!;
    }
  }
}

/** Whether orders keep within the limits. */
export function keepsWithin(
  orders: readonly (readonly ComputeAction[])[],
  params: ScheduleParams,
  limits: ActivationLimits,
): boolean {
  const resources = resourcesOf(params.stageCount, params.workerOfStage, limits);
  return orders.every((order, worker) =>
    resources.every(resource => {
      let live = 0;
      return order.every(({ kind, stage, microBatches }) => {
        if (kind === 'forward') live += resource.sizes[stage]!;
        if (kind === 'backwardWeight') live -= microBatches.length * resource.sizes[stage]!;
        return live <= resource.limits[worker]!;
      });
    }),
  );
}

export function stagesOfWorkers(workerOfStage: readonly number[]): number[][] {
  const stages: number[][] = Array.from(new Set(workerOfStage), () => []);
  for (const [stage, worker] of workerOfStage.entries()) stages[worker]!.push(stage);
  return stages;
}

/** @throws ScheduleError where not even one micro-batch fits, so that no schedule keeps within the limits */
function resourcesOf(
  stageCount: number,
  workerOfStage: readonly number[],
  { liveLimit, limitBytes, activationBytes }: ActivationLimits,
): readonly Resource[] {
  const stages = stagesOfWorkers(workerOfStage);
  const perWorker = (limit: LiveLimit): readonly number[] =>
    stages.map((_, worker) =>
      typeof limit === 'number' ? limit : (limit[worker] ?? Number.POSITIVE_INFINITY),
    );
  const resources: Resource[] = [];
  if (liveLimit !== undefined) {
    const sizes = Array.from({ length: stageCount }, () => 1);
    resources.push({ unit: 'live micro-batches', sizes, limits: perWorker(liveLimit) });
  }
  if (limitBytes !== undefined) {
    if (activationBytes?.length !== stageCount) {
      throw new ScheduleError(
        `limitBytes needs activationBytes with a number for each of the ${stageCount} stages, got ${activationBytes?.length ?? 'none'}`,
        { fault: 'shape' },
      );
    }
    resources.push({ unit: 'bytes', sizes: activationBytes, limits: perWorker(limitBytes) });
  }
  for (const { unit, sizes, limits } of resources) {
    for (const [worker, own] of stages.entries()) {
      const least = own.reduce((sum, stage) => sum + sizes[stage]!, 0);
      if (least <= limits[worker]!) continue;
      throw new ScheduleError(
        `worker ${worker} keeps at least ${least} ${unit}, one of each of its ${own.length} stages, but its limit is ${limits[worker]}`,
        { fault: 'memory', worker },
      );
    }
  }
  return resources;
}
