/**
 * Runs mini-batches of any sizes, as an Observable of step reports in their order. A session has room for mini-batches up to
 * some size; when one comes that does not fit, what is under way finishes and the run goes on in a larger session.
 */
import { concat, defer, EMPTY, finalize, mergeAll, type Observable, tap } from 'rxjs';
import type { RunMode } from '../../protocol/session.js';
import { evenWeights, geometryOf, type MiniBatch } from './mini-batch.js';
import { partsOf } from './model-plan.js';
import { type RunOptions, runSession, type StepReport } from './run.js';
import type { Runtime } from './runtime.js';
import type { DriverSession } from './session.js';

export interface BatchRunOptions
  extends Pick<RunOptions, 'source' | 'recordActions' | 'recorder' | 'describeStep'> {
  readonly runtime: Runtime;
  readonly mode: RunMode;
  /** Lets the runtime's tuner try other plans meanwhile. */
  readonly tuning?: TuningContext;
}

export interface TuningContext {
  /** Mini-batches that are to follow, as far as that is known. */
  readonly remainingSteps: () => number | undefined;
  /** Is told why plans with stages could not be looked at. */
  readonly warn: (error: unknown) => void;
}

export function runBatches(options: BatchRunOptions): Observable<StepReport> {
  const { runtime, mode, tuning } = options;
  const { scalarLosses } = runtime.plan;
  const batches = new Lookahead(options.source, batch => evenWeights(batch, scalarLosses));
  const tuner = tuning === undefined ? undefined : runtime.tuner;
  tuner?.begin();
  let outgrown: DriverSession | undefined;
  let isTornDown = false;

  const rest$: Observable<StepReport> = defer(async () => {
    const first = await batches.peek();
    if (first === undefined) return EMPTY;
    const trial = await tuner?.next(first.rows.length, tuning?.remainingSteps(), tuning?.warn);
    if (isTornDown) return EMPTY;
    const parts = partsOf(runtime.plan);
    const geometry = (batch: MiniBatch) => geometryOf(mode, batch, batch.rows.length, parts);
    const session = await runtime.session(geometry(first), outgrown);
    outgrown = session;
    const source = batches.while(batch => session.holds(geometry(batch)) && trial?.isComplete !== true);
    const run$ = runSession({ ...options, session, cut: runtime.plan.cut, source });
    const timed$ = trial === undefined ? run$ : run$.pipe(tap(({ rows }) => tuner!.observe(trial, rows)));
    return concat(timed$, rest$);
  }).pipe(mergeAll());
  return rest$.pipe(
    finalize(() => {
      isTornDown = true;
      tuner?.cancel();
    }),
  );
}

/** Looks at the next mini-batch without taking it. */
class Lookahead {
  readonly #source: RunOptions['source'];
  #next: MiniBatch | undefined;
  readonly #prepare: (batch: MiniBatch) => MiniBatch;
  #isExhausted = false;

  constructor(source: RunOptions['source'], prepare: (batch: MiniBatch) => MiniBatch) {
    this.#source = source;
    this.#prepare = prepare;
  }

  async peek(): Promise<MiniBatch | undefined> {
    if (this.#next !== undefined || this.#isExhausted) return this.#next;
    const result = await this.#source.next();
    if (result.done === true) this.#isExhausted = true;
    else this.#next = this.#prepare(result.value);
    return this.#next;
  }

  /** Mini-batches up to the first that does not fit, which stays to be looked at. */
  while(fits: (batch: MiniBatch) => boolean): AsyncIterator<MiniBatch> {
    return {
      next: async () => {
        const batch = await this.peek();
        if (batch === undefined || !fits(batch)) return { done: true, value: undefined };
        this.#next = undefined;
        return { done: false, value: batch };
      },
      return: async () => {
        this.#isExhausted = true;
        await this.#source.return?.();
        return { done: true, value: undefined };
      },
    };
  }
}
