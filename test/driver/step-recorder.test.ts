/** What a recorder keeps of steps, and for how long. */
import { describe, expect, it } from 'vitest';
import type { Program } from '#internal/protocol/action.js';
import { StepRecorder } from '#internal/scheduler/driver/step-recorder.js';
import { StepBoard } from '#internal/transport/index.js';

const programs: readonly Program[] = [
  [
    { kind: 'forward', stage: 0, microBatches: [0] },
    { kind: 'step', stage: 0 },
  ],
  [{ kind: 'forward', stage: 1, microBatches: [0] }],
];

function boardFor(actionCount: number): StepBoard {
  return StepBoard.create({
    workerCount: 2,
    stageCount: 2,
    microBatchCount: 1,
    stepsInFlight: 2,
    sumCount: 1,
    actionCount,
  });
}

const descriptor = (number: number) => ({ number, learningRate: 0.1, rows: 4, microBatchRows: [4] });

/** As workers do it: every time is of the step and of its place. */
function work(board: StepBoard, position: number): void {
  for (const worker of [0, 1]) {
    board.times(position, worker).forEach((_, index, times) => {
      times[index] = 1000 * position + 100 * worker + index;
    });
  }
}

describe('the step recorder', () => {
  it('copies the times of every worker, which the board then gives to later steps', () => {
    const board = boardFor(2);
    const recorder = new StepRecorder(3);
    for (let position = 0; position < 5; position++) {
      work(board, position);
      recorder.record(descriptor(position), programs, board, position);
    }
    expect(recorder.steps.map(({ step }) => step)).toEqual([2, 3, 4]);
    // Two actions of worker 0, one of worker 1.
    expect(recorder.steps.map(({ times }) => [...times])).toEqual(
      [2, 3, 4].map(step => [0, 1, 2, 3, 100, 101].map(place => 1000 * step + place)),
    );
  });

  it('adds what became of a step, and forgets what became of one that it no longer has', () => {
    const board = boardFor(2);
    const recorder = new StepRecorder(1);
    const outcome = { epoch: 1, batch: 2, logs: { loss: 0.5 } };
    recorder.record(descriptor(0), programs, board, 0);
    recorder.describe(0, outcome);
    expect(recorder.steps[0]!.outcome).toEqual(outcome);
    recorder.record(descriptor(1), programs, board, 1);
    recorder.describe(0, outcome);
    expect(recorder.steps.map(({ outcome: known }) => known)).toEqual([undefined]);
  });

  it('keeps nothing at 0', () => {
    const recorder = new StepRecorder(0);
    recorder.record(descriptor(0), programs, boardFor(2), 0);
    expect(recorder.steps).toEqual([]);
  });

  it('keeps fewer of very long steps, but the last one always', () => {
    const long: Program = Array.from({ length: 2 ** 17 }, (_, microBatch) => ({
      kind: 'forward' as const,
      stage: 0,
      microBatches: [microBatch],
    }));
    const board = boardFor(long.length);
    const recorder = new StepRecorder(1000);
    for (let step = 0; step < 6; step++) recorder.record(descriptor(step), [long, []], board, step);
    // 2^18 numbers each, of 2^20.
    expect(recorder.steps.map(({ step }) => step)).toEqual([2, 3, 4, 5]);
  });
});
