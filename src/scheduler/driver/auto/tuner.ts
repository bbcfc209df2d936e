/**
 * Finds the best plan while the model is being trained.
 *
 * Where nothing is asked for, it begins with a guess that needs no measuring, replicas alone, and halves their number while that is faster: a small model
 * loses more by sharing than it gains. Where training goes on for long enough, the layers are measured, plans with stages
 * are simulated, and those that may be faster are tried. Every trial is a stretch of training steps like any other; what
 * changing the plan costs is spent only where what follows is expected to be long enough to win it back: the rest of the
 * present `fit`, or as long as the trainer has trained so far.
 *
 * Where stages are asked for, and only the number of micro-batches is left open, it begins with the number that is predicted to be
 * best, and tries the others that may be faster.
 */
import { isSamePlan, type ModelPlan } from '../model-plan.js';
import { MOST_CHANGES, Rematch } from './rematch.js';
import { restMsOf, Trial } from './trial.js';

/** What the tuner does to a trainer. */
export interface Tuned {
  readonly plan: ModelPlan;
  /** Goes on with the same weights and optimizer under another plan. */
  adopt(plan: ModelPlan): Promise<void>;
  /** Time that the last change of plans took. */
  readonly adoptionMs: number;
}

export interface TunerParts {
  readonly trainer: Tuned;
  /** Copies of the whole model on so many workers; `undefined` where the memory limit does not allow it. */
  readonly replicaPlan: (replicas: number) => ModelPlan | undefined;
  /** Plans with and without stages, the best first, as measured layers predict them. */
  readonly stagePlans: () => Promise<readonly PredictedPlan[]>;
  /** What must follow so that asking for them pays. By default what measuring the layers first is worth. */
  readonly worthPredictingMs?: number;
  readonly now?: () => number;
}

export interface PredictedPlan {
  readonly plan: ModelPlan;
  readonly predictedMs: number;
}

/** A plan with what was found out about it. */
export interface TriedPlan {
  readonly plan: ModelPlan;
  readonly predictedMs: number | undefined;
  readonly measuredMs: number | undefined;
}

/** What follows must take so many times as long as changing the plan. */
const WORTH_CHANGING = 10;
/** What must follow so that measuring the layers pays: it takes two or three seconds and may win a quarter. */
const WORTH_PREDICTING_MS = 20_000;
/** What another plan must be faster by. Trials differ by that much from one to the next. */
const LEAST_GAIN = 0.03;
/** Stage plans that are tried, and by how much their prediction may be worse than the best so far. */
const MOST_STAGE_TRIALS = 3;
const HOPEFUL = 1.1;
/** The two fastest are timed in turns where they differ by less than that: so much V8 gains from the first trial to the last. */
const CLOSE = 1.2;

export class Tuner {
  readonly #parts: TunerParts;
  readonly #now: () => number;
  readonly #tried: TriedPlan[] = [];
  /** Plans that wait to be tried. */
  readonly #waiting: PredictedPlan[] = [];
  #trial: Trial | undefined;
  /** Between the two fastest, once all others have been tried. */
  #rematch: Rematch | undefined;
  #stage: 'replicas' | 'stages' | 'decided' = 'replicas';
  /** Whether the present stretch of training is too short for anything further. */
  #isResting = false;
  /** Time in stretches of training that are over. */
  #pastMs = 0;
  #beganMs: number | undefined;
  /** Rows of the mini-batches that count: those of the present stretch's first one, which is no leftover. */
  #rows: number | undefined;
  #isFirst = true;
  #isCancelled = false;
  #settled: Promise<unknown> = Promise.resolve();

  constructor(parts: TunerParts) {
    this.#parts = parts;
    this.#now = parts.now ?? (() => performance.now());
  }

  /** Everything that was tried or predicted so far. */
  get tried(): readonly TriedPlan[] {
    return this.#tried;
  }

  /** The plan that trains whatever can be trained; `undefined` where it does not fit into memory. */
  get onOneWorker(): ModelPlan | undefined {
    return this.#parts.replicaPlan(1);
  }

  get isDecided(): boolean {
    return this.#stage === 'decided';
  }

  /** A stretch of training begins, an epoch for example. */
  begin(): void {
    this.#endStretch();
    this.#beganMs = this.#now();
    this.#isResting = false;
    this.#isFirst = true;
    this.#isCancelled = false;
  }

  /** The stretch is over, or nobody waits for it any more: what is under way puts no further plan in place. */
  cancel(): void {
    this.#endStretch();
    this.#isCancelled = true;
  }

  #endStretch(): void {
    this.#pastMs = this.#trainedMs;
    this.#beganMs = undefined;
  }

  get #trainedMs(): number {
    return this.#pastMs + (this.#beganMs === undefined ? 0 : this.#now() - this.#beganMs);
  }

  /** Resolves when nothing is under way, however it ends. */
  get settled(): Promise<unknown> {
    return this.#settled;
  }

  /**
   * Called before a run of mini-batches, while the workers are idle. May put another plan in place.
   *
   * @param rows of the next mini-batch
   * @param remainingSteps of this call to `fit`; `undefined` where nobody knows
   * @param warn is told where stages could not be measured; training goes on with what is known
   * @returns the trial that the run is part of, if it is one
   */
  next(
    rows: number,
    remainingSteps: number | undefined,
    warn: (error: unknown) => void = () => {},
  ): Promise<Trial | undefined> {
    const next = this.#next(rows, remainingSteps, warn);
    this.#settled = next.catch(() => {});
    return next;
  }

  async #next(
    rows: number,
    remainingSteps: number | undefined,
    warn: (error: unknown) => void,
  ): Promise<Trial | undefined> {
    if (this.#isFirst) this.#count(rows);
    this.#isFirst = false;
    if (this.isDecided || this.#isResting) return undefined;
    if (this.#trial === undefined) this.#trial = this.#trialOf(this.#parts.trainer.plan, remainingSteps);
    else if (this.#trial.isComplete) await this.#conclude(this.#trial, remainingSteps, warn);
    this.#trial?.begin();
    return this.#trial;
  }

  #trialOf(plan: ModelPlan, remainingSteps = 0): Trial {
    return new Trial(plan, this.#rows!, this.#trainedMs, remainingSteps);
  }

  /** Times of mini-batches of another size say nothing about these. */
  #count(rows: number): void {
    if (rows === this.#rows) return;
    this.#rows = rows;
    this.#trial = undefined;
    this.#rematch = this.#rematch?.again();
    for (const [index, tried] of this.#tried.entries()) {
      this.#tried[index] = { ...tried, measuredMs: undefined };
    }
  }

  /**
   * Settles on what promises most by simulation, for whoever asks for a plan and does not train. Takes seconds.
   *
   * @throws MemoryLimitError where no plan keeps within the memory limit
   */
  async decideByPrediction(): Promise<void> {
    const predicted = await this.#parts.stagePlans();
    for (const { plan, predictedMs } of predicted) this.#record(plan, { predictedMs });
    this.#stage = 'decided';
    await this.#adopt(predicted[0]!.plan);
  }

  /** A mini-batch of the run was trained. */
  observe(trial: Trial, rows: number): void {
    trial.observe(rows, this.#now());
  }

  async #conclude(
    trial: Trial,
    remainingSteps: number | undefined,
    warn: (error: unknown) => void,
  ): Promise<void> {
    const { plan: tried, periodMs } = trial;
    // It counts once, also where this is cancelled on the way.
    this.#trial = undefined;
    this.#rematch?.record(tried, periodMs);
    this.#record(tried, { measuredMs: this.#rematch?.periodMs(tried) ?? periodMs });
    const best = this.#best();
    const restMs = restMsOf(this.#trainedMs, remainingSteps ?? 0, best.measuredMs);
    const plan = await this.#nextPlan(best, restMs, warn);
    if (this.#isCancelled) {
      // Nothing is put in place now: the next stretch comes back here.
      if (this.isDecided) this.#stage = 'stages';
      return;
    }
    if (plan !== undefined && plan === this.#waiting[0]?.plan) this.#waiting.shift();
    this.#isResting = plan === undefined;
    this.#trial = plan === undefined ? undefined : this.#trialOf(plan, remainingSteps);
    await this.#adopt(plan ?? this.#best().plan);
  }

  /** The next plan to try; `undefined` for none now. */
  async #nextPlan(
    best: Measured,
    restMs: number,
    warn: (error: unknown) => void,
  ): Promise<ModelPlan | undefined> {
    const { trainer, replicaPlan, worthPredictingMs = WORTH_PREDICTING_MS } = this.#parts;
    if (this.#rematch?.winner !== undefined) this.#stage = 'decided';
    if (this.isDecided || restMs < WORTH_CHANGING * trainer.adoptionMs) return undefined;
    if (this.#stage === 'replicas') {
      const fewer = Math.floor(this.#fewestReplicas() / 2);
      const plan =
        fewer >= 1 && best.plan.replicas === this.#fewestReplicas() ? replicaPlan(fewer) : undefined;
      if (plan !== undefined) return plan;
      if (restMs < worthPredictingMs) return undefined;
      this.#stage = 'stages';
      // A layer that trains need not bear being tried on numbers that were made up.
      await this.#predict(best).catch(warn);
    }
    const hopeful = this.#waiting[0]?.plan;
    if (hopeful !== undefined) return hopeful;
    const rematch = this.#rematch ?? this.#makeRematch(best);
    if (rematch === undefined) this.#stage = 'decided';
    else if (restMs >= MOST_CHANGES * WORTH_CHANGING * trainer.adoptionMs) this.#rematch = rematch;
    return this.#rematch?.next;
  }

  /** Of the fastest plan with the next, if that is close; what is in place has just been timed, and that counts. */
  #makeRematch(best: Measured): Rematch | undefined {
    const measured = this.#measured();
    const [next] = measured
      .filter(({ plan }) => plan !== best.plan)
      .sort((one, other) => one.measuredMs - other.measuredMs);
    if (next === undefined || next.measuredMs >= best.measuredMs * CLOSE) return undefined;
    const pair = [best.plan, next.plan];
    const [earlier, later] = measured.filter(({ plan }) => pair.includes(plan)) as [Measured, Measured];
    const rematch = new Rematch(earlier.plan, later.plan);
    const running = measured.find(({ plan }) => isSamePlan(plan, this.#parts.trainer.plan));
    if (running !== undefined) rematch.record(running.plan, running.measuredMs);
    return rematch;
  }

  /** Predictions are compared with one another alone: the machine is busier in training than while it was measured. */
  async #predict(best: Measured): Promise<void> {
    const predicted = await this.#parts.stagePlans();
    for (const { plan, predictedMs } of predicted) this.#record(plan, { predictedMs });
    const own = this.#tried.find(({ plan }) => isSamePlan(plan, best.plan))?.predictedMs;
    const bound = own === undefined ? Number.POSITIVE_INFINITY : own * HOPEFUL;
    this.#waiting.push(
      ...predicted
        .filter(({ plan, predictedMs }) => plan.cut.stages.length > 1 && predictedMs <= bound)
        .filter(({ plan }) => !isSamePlan(plan, best.plan))
        .slice(0, MOST_STAGE_TRIALS),
    );
  }

  async #adopt(plan: ModelPlan): Promise<void> {
    const { trainer } = this.#parts;
    if (!isSamePlan(trainer.plan, plan)) await trainer.adopt(plan);
  }

  #record(plan: ModelPlan, found: { readonly predictedMs?: number; readonly measuredMs?: number }): void {
    const index = this.#tried.findIndex(({ plan: known }) => isSamePlan(known, plan));
    const known = this.#tried[index] ?? { plan, predictedMs: undefined, measuredMs: undefined };
    const entry = { ...known, ...found };
    if (index < 0) this.#tried.push(entry);
    else this.#tried[index] = entry;
  }

  #fewestReplicas(): number {
    return Math.min(...this.#measured().map(({ plan }) => plan.replicas));
  }

  #measured(): readonly Measured[] {
    return this.#tried.filter((entry): entry is Measured => entry.measuredMs !== undefined);
  }

  /** The fastest; of several that are about as fast, the one that was tried first, unless they were timed in turns. */
  #best(): Measured {
    const measured = this.#measured();
    const rematch = this.#rematch;
    const proved = measured.find(({ plan }) => plan === rematch?.winner);
    if (proved !== undefined) return proved;
    // What was timed before it, when the machine was another, perhaps, is no measure for these.
    const contending = measured.filter(({ plan }) => rematch?.isBetween(plan));
    const [first, ...others] = contending.length > 0 ? contending : measured;
    return others.reduce(
      (best, entry) => (entry.measuredMs < best.measuredMs * (1 - LEAST_GAIN) ? entry : best),
      first!,
    );
  }
}

interface Measured extends TriedPlan {
  readonly measuredMs: number;
}
