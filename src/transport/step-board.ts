/**
 * Views of a step board (see `protocol/step-board.ts` for the layout and who writes what when).
 */
import {
  END_INDEX,
  FIRST_COMPLETED_INDEX,
  FIRST_MICRO_BATCH_ROWS_FIELD,
  LEARNING_RATE_FIELD,
  LIMIT_INDEX,
  NUMBER_FIELD,
  ROWS_FIELD,
  type StepBoardLayout,
  type StepBoardShape,
  stepBoardLayout,
} from '../protocol/step-board.js';

/** One mini-batch as the driver hands it out. */
export interface StepDescriptor {
  /** Training steps of the trainer before this one; it keys random layers. */
  readonly number: number;
  readonly learningRate: number;
  /** Samples of the mini-batch; the rows of its micro-batches add up to it. */
  readonly rows: number;
  readonly microBatchRows: readonly number[];
}

export class StepBoard {
  readonly buffer: SharedArrayBuffer;
  readonly layout: StepBoardLayout;
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly #descriptors: Float64Array<SharedArrayBuffer>;

  private constructor(buffer: SharedArrayBuffer, layout: StepBoardLayout) {
    this.buffer = buffer;
    this.layout = layout;
    this.words = new Int32Array(buffer, 0, FIRST_COMPLETED_INDEX + layout.workerCount);
    this.#descriptors = new Float64Array(
      buffer,
      layout.descriptorsByteOffset,
      layout.stepsInFlight * this.#descriptorFields(layout),
    );
  }

  static create(shape: StepBoardShape): StepBoard {
    const layout = stepBoardLayout(shape);
    return new StepBoard(new SharedArrayBuffer(layout.byteLength), layout);
  }

  static attach(buffer: SharedArrayBuffer, layout: StepBoardLayout): StepBoard {
    return new StepBoard(buffer, layout);
  }

  #descriptorFields({ microBatchCount }: StepBoardLayout): number {
    return FIRST_MICRO_BATCH_ROWS_FIELD + microBatchCount;
  }

  // ---- the driver's side

  /** Hands out the next step and returns its position on the board. The caller has made sure that its place is free. */
  publish(step: StepDescriptor): number {
    const position = this.limit;
    const fields = this.#descriptor(position);
    fields[NUMBER_FIELD] = step.number;
    fields[LEARNING_RATE_FIELD] = step.learningRate;
    fields[ROWS_FIELD] = step.rows;
    fields.fill(0, FIRST_MICRO_BATCH_ROWS_FIELD);
    fields.set(step.microBatchRows, FIRST_MICRO_BATCH_ROWS_FIELD);
    for (let stage = 0; stage < this.layout.stageCount; stage++) this.sums(position, stage).fill(0);
    // Pairs with the load of `limit` in workers: once they see the new limit they see the descriptor.
    Atomics.store(this.words, LIMIT_INDEX, position + 1);
    Atomics.notify(this.words, LIMIT_INDEX);
    return position;
  }

  /** Says that no step follows the published ones for now: workers return from `run` when they have done them. */
  end(): void {
    // Pairs with the load of `isEnded`. Stored after the last limit, so who sees it sees all steps too.
    Atomics.store(this.words, END_INDEX, 1);
    Atomics.notify(this.words, LIMIT_INDEX);
  }

  /** Takes `end` back before another run of the same session. */
  reopen(): void {
    Atomics.store(this.words, END_INDEX, 0);
  }

  /** Steps that all workers have completed. */
  get completed(): number {
    let fewest = Number.POSITIVE_INFINITY;
    for (let worker = 0; worker < this.layout.workerCount; worker++) {
      fewest = Math.min(fewest, this.completedBy(worker));
    }
    return fewest;
  }

  // ---- the workers' side

  /** Steps handed out so far. */
  get limit(): number {
    // Pairs with the store in `publish`.
    return Atomics.load(this.words, LIMIT_INDEX);
  }

  get isEnded(): boolean {
    // Pairs with the store in `end`.
    return Atomics.load(this.words, END_INDEX) === 1;
  }

  completedBy(worker: number): number {
    // Pairs with the store in `complete`: sums and times of the step are visible once its completion is.
    return Atomics.load(this.words, FIRST_COMPLETED_INDEX + worker);
  }

  describe(step: number): StepDescriptor {
    const fields = this.#descriptor(step);
    return {
      number: fields[NUMBER_FIELD]!,
      learningRate: fields[LEARNING_RATE_FIELD]!,
      rows: fields[ROWS_FIELD]!,
      microBatchRows: [...fields.subarray(FIRST_MICRO_BATCH_ROWS_FIELD)].filter(rows => rows > 0),
    };
  }

  /** Reports that `worker` has done `step`; whoever finds then that all have, rings the bell. */
  complete(worker: number, step: number): void {
    // Pairs with the load in `completedBy`; stored after sums and times, which the driver then reads. Of several workers that
    // complete a step, the one whose store comes last sees those of all others.
    Atomics.store(this.words, FIRST_COMPLETED_INDEX + worker, step + 1);
  }

  /** Sums of one stage for a step in flight. */
  sums(step: number, stage: number): Float64Array {
    const { stepsInFlight, stageCount, sumCount, sumsByteOffset } = this.layout;
    const place = (step % stepsInFlight) * stageCount + stage;
    return new Float64Array(
      this.buffer,
      sumsByteOffset + place * sumCount * Float64Array.BYTES_PER_ELEMENT,
      sumCount,
    );
  }

  /** Start and end of every action of one worker's program, in milliseconds of the shared clock. */
  times(step: number, worker: number): Float64Array {
    const { stepsInFlight, workerCount, actionCount, timesByteOffset } = this.layout;
    const place = (step % stepsInFlight) * workerCount + worker;
    const count = actionCount * 2;
    return new Float64Array(
      this.buffer,
      timesByteOffset + place * count * Float64Array.BYTES_PER_ELEMENT,
      count,
    );
  }

  #descriptor(step: number): Float64Array {
    const count = this.#descriptorFields(this.layout);
    const start = (step % this.layout.stepsInFlight) * count;
    return this.#descriptors.subarray(start, start + count);
  }
}
