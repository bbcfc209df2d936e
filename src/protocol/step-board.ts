/**
 * The step board: one small shared buffer a run, through which the driver hands out mini-batches and workers report.
 *
 *     words   │ LIMIT │ END │ COMPLETED[worker] …        Int32, waited on and notified
 *     steps   │ a descriptor for each step in flight      Float64: number, learning rate, total rows, rows per micro-batch
 *     sums    │ [step in flight][stage][sum]              Float64: losses and metrics times rows, penalties
 *     times   │ [step in flight][worker][action] start, end   Float64: milliseconds of the shared monotonic clock
 *
 * Step `s` uses place `s mod stepsInFlight`. The driver writes a place, then raises LIMIT; workers may begin step `s`
 * when `s < LIMIT`. A worker writes its sums and times, then raises its COMPLETED; the driver reads the place when all
 * workers have completed the step, and writes it again only after that.
 */
import { alignUp } from './alignment.js';

export const LIMIT_INDEX = 0;
export const END_INDEX = 1;
export const FIRST_COMPLETED_INDEX = 2;

/** Count of the trainer's training steps: the key of random layers. */
export const NUMBER_FIELD = 0;
export const LEARNING_RATE_FIELD = 1;
export const ROWS_FIELD = 2;
/** First of `microBatchCount` fields: rows of each micro-batch. */
export const FIRST_MICRO_BATCH_ROWS_FIELD = 3;

export interface StepBoardShape {
  readonly workerCount: number;
  readonly stageCount: number;
  readonly microBatchCount: number;
  readonly stepsInFlight: number;
  /** Entries of the sums vector of one stage. */
  readonly sumCount: number;
  /** Longest program of any worker. */
  readonly actionCount: number;
}

export interface StepBoardLayout extends StepBoardShape {
  readonly descriptorsByteOffset: number;
  readonly sumsByteOffset: number;
  readonly timesByteOffset: number;
  readonly byteLength: number;
}

export function stepBoardLayout(shape: StepBoardShape): StepBoardLayout {
  const wordBytes = alignUp((FIRST_COMPLETED_INDEX + shape.workerCount) * Int32Array.BYTES_PER_ELEMENT);
  const doubles = (count: number): number => alignUp(count * Float64Array.BYTES_PER_ELEMENT);
  const descriptorsByteOffset = wordBytes;
  const sumsByteOffset =
    descriptorsByteOffset +
    doubles(shape.stepsInFlight * (FIRST_MICRO_BATCH_ROWS_FIELD + shape.microBatchCount));
  const timesByteOffset = sumsByteOffset + doubles(shape.stepsInFlight * shape.stageCount * shape.sumCount);
  const byteLength =
    timesByteOffset + doubles(shape.stepsInFlight * shape.workerCount * shape.actionCount * 2);
  return { ...shape, descriptorsByteOffset, sumsByteOffset, timesByteOffset, byteLength };
}
