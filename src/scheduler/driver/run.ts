/**
 * Runs a session over a source of mini-batches, as an Observable of step reports.
 *
 * Backpressure is the workers': a mini-batch is taken from the source only when fewer than `STEPS_IN_FLIGHT` are under way,
 * and for so many the rings have slots. Nothing is buffered in RxJS operators, which have no bound. The
 * source decides by when it yields how far training runs ahead of its callbacks.
 *
 * Unsubscribing stops the workers: no further step is handed out and those under way are poisoned, because whoever
 * unsubscribes will not look at their result. A source that just ends lets everything finish.
 */
import { Observable } from 'rxjs';
import { StageError, TrainingAbortedError } from '../../errors.js';
import type { CutModel } from '../../model/index.js';
import { AbortReason } from '../../protocol/control.js';
import { AbortedError, type StepDescriptor } from '../../transport/index.js';
import type { ActionRecord } from './events.js';
import { Feeder } from './feeder.js';
import { type MiniBatch, splitRows } from './mini-batch.js';
import { OutputCollector, type OutputPart } from './output-collector.js';
import { type DriverSession, STEPS_IN_FLIGHT } from './session.js';
import { settleWithin } from './settle-within.js';
import { StallWatch } from './stall-watch.js';
import type { StepRecorder } from './step-recorder.js';
import { WakeUp } from './wake-up.js';

/** Longest sleep of the driver between two looks at its workers; the bell wakes it long before. */
const BELL_TIMEOUT_MS = 1_000;

export interface StepReport {
  /** The step's number among all training steps, as `describeStep` gave it. */
  readonly number: number;
  readonly rows: number;
  /** Sums over samples, added up over the stages: see `SumsLayout`. */
  readonly sums: Float64Array;
  /** Empty unless `recordActions` says that somebody looks at them. */
  readonly actions: readonly ActionRecord[];
  /** When predicting: the mini-batch's outputs, micro-batch by micro-batch. */
  readonly outputs: readonly OutputPart[];
}

export interface RunOptions {
  readonly session: DriverSession;
  readonly cut: CutModel;
  /** Taken from one mini-batch at a time. */
  readonly source: AsyncIterator<MiniBatch> | Iterator<MiniBatch>;
  /** Whether reports list every action with its times; thousands of small objects a second, if steps are short. */
  readonly recordActions?: () => boolean;
  /** Keeps the times of the last steps. */
  readonly recorder?: StepRecorder;
  /** Number and learning rate of the next step. */
  readonly describeStep: () => { readonly number: number; readonly learningRate: number };
}

export function runSession(options: RunOptions): Observable<StepReport> {
  return new Observable<StepReport>(subscriber => {
    const run = new Run(options, report => subscriber.next(report));
    options.session.running = run.done.catch(() => {});
    run.done.then(
      () => subscriber.complete(),
      (error: unknown) => subscriber.error(error),
    );
    return () => run.stop();
  });
}

/** How long a stopped worker may go on before its thread is given up: kernels cannot be interrupted. */
const STOP_PATIENCE_MS = 10_000;
/** The same for a worker that has stalled, which was given its time before. */
const STALLED_PATIENCE_MS = 200;

class Run {
  readonly done: Promise<void>;
  readonly #options: RunOptions;
  readonly #report: (report: StepReport) => void;
  readonly #feeder: Feeder;
  readonly #outputs: OutputCollector;
  /** Every step that is under way, by its position on the board. */
  readonly #underWay = new Map<number, StepDescriptor>();
  readonly #stallWatch: StallWatch;
  readonly #failures: unknown[] = [];
  #reported: number;
  #isStopped = false;
  #isFinished = false;

  constructor(options: RunOptions, report: (report: StepReport) => void) {
    const { session, cut } = options;
    this.#options = options;
    this.#report = report;
    this.#feeder = new Feeder(session, cut);
    this.#reported = session.board.limit;
    this.#outputs = new OutputCollector(
      session,
      cut,
      // A step that was reported has no outputs left.
      position => this.#underWay.get(position)?.microBatchRows.length ?? 0,
    );
    this.#stallWatch = new StallWatch(session, this.#underWay);
    this.done = this.#drive();
  }

  stop(): void {
    if (this.#isFinished) return;
    this.#isStopped = true;
    this.#options.session.pool.control.abort(AbortReason.cancelled);
  }

  async #drive(): Promise<void> {
    const { session } = this.#options;
    const { board, pool } = session;
    pool.control.clear();
    board.reopen();
    const busy = new Set(Array.from({ length: session.workerCount }, (_, index) => index));
    const workers = [...busy].map(index =>
      pool
        .worker(index)
        .run(session.id)
        .catch((error: unknown) => {
          // A worker that waits in vain names itself; the one that it waits for is to be named.
          const { cause } = error as { cause?: Error };
          this.#failures.push((isStalled(error) && this.#stallWatch.culprit(cause!.message)) || error);
          pool.control.ring();
        })
        .finally(() => busy.delete(index)),
    );
    try {
      await this.#feedAndReport();
    } catch (error) {
      pool.control.abort(isStalled(error) ? AbortReason.stalled : AbortReason.cancelled);
      this.#failures.unshift(error);
    } finally {
      this.#isFinished = true;
      board.end();
    }
    const { abortReason } = pool.control;
    const patienceMs = abortReason === AbortReason.stalled ? STALLED_PATIENCE_MS : STOP_PATIENCE_MS;
    await settleWithin(workers, abortReason === undefined ? undefined : patienceMs);
    for (const index of busy) pool.giveUp(index);
    const failure = this.#failures.find(error => !isConsequence(error)) ?? this.#failures[0];
    if (this.#isStopped || failure === undefined) return;
    throw isConsequence(failure)
      ? new TrainingAbortedError('The run was stopped because the trainer was closed.', { cause: failure })
      : failure;
  }

  async #feedAndReport(): Promise<void> {
    const { session, source } = this.#options;
    const { board, pool } = session;
    const { control } = pool;
    const wakeUp = new WakeUp(control);
    const pull = new Pull(source, () => wakeUp.notify());
    for (;;) {
      // Read before looking at anything: what rings from here on wakes the wait below.
      const bell = control.bell;
      if (control.isAborted || this.#failures.length > 0) break;
      this.#reportCompleted();
      const batch = pull.take();
      if (batch !== undefined) this.#publish(batch);
      this.#feeder.pump();
      if (pull.isExhausted && this.#reported === board.limit) return;
      if (board.limit - this.#reported < STEPS_IN_FLIGHT) pull.start();
      // With nothing under way the workers wait for the source, which may take its time: no stall.
      control.setIdleExpected(this.#reported === board.limit);
      this.#stallWatch.check();
      await wakeUp.sleep(bell, Math.min(BELL_TIMEOUT_MS, this.#stallWatch.intervalMs));
    }
    pull.cancel();
  }

  #publish(batch: MiniBatch): void {
    const { session, describeStep } = this.#options;
    const rows = batch.rows.length;
    // Evenly, whatever the session has room for: the same mini-batch gives the same bits in any session.
    const microBatchRows = splitRows(rows, Math.ceil(rows / session.board.layout.microBatchCount));
    const step = { ...describeStep(), rows, microBatchRows };
    this.#underWay.set(session.board.publish(step), step);
    session.pool.control.setIdleExpected(false);
    this.#feeder.add(batch, microBatchRows);
  }

  #reportCompleted(): void {
    const { board } = this.#options.session;
    // Completion first, outputs after: a step's outputs lie in their ring before it counts as completed.
    const { completed } = board;
    this.#outputs.collect();
    for (; this.#reported < completed; this.#reported++) {
      const position = this.#reported;
      const step = this.#underWay.get(position)!;
      const { number, rows } = step;
      this.#underWay.delete(position);
      this.#options.recorder?.record(step, this.#options.session.programs, board, position);
      const outputs = this.#outputs.take(position);
      this.#report({
        number,
        rows,
        sums: this.#sumsOf(position),
        actions: this.#actionsOf(position),
        outputs,
      });
    }
  }

  #sumsOf(position: number): Float64Array {
    const { board } = this.#options.session;
    const total = new Float64Array(board.layout.sumCount);
    for (let stage = 0; stage < board.layout.stageCount; stage++) {
      for (const [index, sum] of board.sums(position, stage).entries()) total[index]! += sum;
    }
    return total;
  }

  #actionsOf(position: number): ActionRecord[] {
    const { recordActions, session } = this.#options;
    if (recordActions?.() !== true) return [];
    const { board, programs } = session;
    return programs.flatMap((program, worker) => {
      const times = board.times(position, worker);
      return program.map((action, index) => ({
        action,
        worker,
        startMs: times[2 * index]!,
        endMs: times[2 * index + 1]!,
      }));
    });
  }
}

/** Takes mini-batches from a source, one at a time and only when asked to. */
class Pull {
  readonly #source: RunOptions['source'];
  readonly #onArrival: () => void;
  #isPending = false;
  #arrived: MiniBatch | undefined;
  #failure: { readonly error: unknown } | undefined;
  isExhausted = false;

  constructor(source: RunOptions['source'], onArrival: () => void) {
    this.#source = source;
    this.#onArrival = onArrival;
  }

  /** Asks for the next mini-batch, unless one is on its way. */
  start(): void {
    if (this.#isPending || this.isExhausted || this.#arrived !== undefined) return;
    this.#isPending = true;
    // A synchronous source answers at once; both kinds go the same way.
    Promise.resolve()
      .then(() => this.#source.next())
      .then(
        result => {
          if (result.done === true) this.isExhausted = true;
          else this.#arrived = result.value;
        },
        (error: unknown) => {
          this.#failure = { error };
        },
      )
      .finally(() => {
        this.#isPending = false;
        this.#onArrival();
      });
  }

  /** The mini-batch that has arrived, if one has. Throws what the source threw. */
  take(): MiniBatch | undefined {
    if (this.#failure !== undefined) throw this.#failure.error;
    const batch = this.#arrived;
    this.#arrived = undefined;
    return batch;
  }

  /** Lets a source that is not exhausted clean up; it is not waited for, since it may be waiting for this run. */
  cancel(): void {
    Promise.resolve(this.#source.return?.()).catch(() => {});
  }
}

function isStalled(error: unknown): boolean {
  return error instanceof StageError && (error.cause as Error | undefined)?.name === 'StallError';
}

/** Workers that only stopped because another one had failed. */
function isConsequence(error: unknown): boolean {
  return error instanceof StageError && (error.cause as Error | undefined)?.name === AbortedError.name;
}
