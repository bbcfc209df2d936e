import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { END_INDEX, LIMIT_INDEX, type StepBoardShape } from '#internal/protocol/step-board.js';
import { StepBoard, type StepDescriptor } from '#internal/transport/index.js';

const SHAPE: StepBoardShape = {
  workerCount: 3,
  stageCount: 4,
  microBatchCount: 4,
  stepsInFlight: 2,
  sumCount: 5,
  actionCount: 6,
};

const shapes: fc.Arbitrary<StepBoardShape> = fc.record({
  workerCount: fc.integer({ min: 1, max: 20 }),
  stageCount: fc.integer({ min: 1, max: 9 }),
  microBatchCount: fc.integer({ min: 1, max: 9 }),
  stepsInFlight: fc.integer({ min: 1, max: 4 }),
  sumCount: fc.integer({ min: 1, max: 9 }),
  actionCount: fc.integer({ min: 1, max: 12 }),
});

/** A step of `parts` micro-batches with recognisable contents. */
function stepOf(number: number, parts: number): StepDescriptor {
  const microBatchRows = Array.from({ length: parts }, (_, index) => 1 + ((number + index) % 7));
  const rows = microBatchRows.reduce((sum, count) => sum + count, 0);
  return { number, learningRate: 1 / (number + 3), rows, microBatchRows };
}

/** How a thread that slept on the limit wakes: 'ok' when notified, 'timed-out' when nobody calls. */
async function wakeUp(board: StepBoard, act: () => void): Promise<string> {
  const wait = Atomics.waitAsync(board.words, LIMIT_INDEX, board.limit, 5_000);
  act();
  return wait.value;
}

describe('a step board', () => {
  it('begins with no step, not ended, and nothing completed', () => {
    const board = StepBoard.create(SHAPE);
    expect(board.limit).toBe(0);
    expect(board.isEnded).toBe(false);
    expect(board.completed).toBe(0);
    expect(board.completedBy(2)).toBe(0);
  });

  it('describes a published step as it was given, in any view of the buffer', () => {
    const board = StepBoard.create(SHAPE);
    const step = { number: 2 ** 40, learningRate: 0.1, rows: 10, microBatchRows: [3, 3, 3, 1] };
    expect(board.publish(step)).toBe(0);
    const attached = StepBoard.attach(board.buffer, board.layout);
    expect(attached.limit).toBe(1);
    expect(attached.describe(0)).toEqual(step);
  });

  it('describes a smaller last mini-batch by its own micro-batches, whatever its place held before', () => {
    const board = StepBoard.create({ ...SHAPE, stepsInFlight: 1 });
    board.publish({ number: 0, learningRate: 1, rows: 32, microBatchRows: [8, 8, 8, 8] });
    for (const worker of [0, 1, 2]) board.complete(worker, 0);
    const last = { number: 1, learningRate: 1, rows: 9, microBatchRows: [8, 1] };
    board.publish(last);
    expect(board.describe(1)).toEqual(last);
  });

  it('keeps the steps in flight apart and uses a place again only for the step so many later', () => {
    fc.assert(
      fc.property(
        shapes,
        fc.array(fc.record({ ahead: fc.nat(3), parts: fc.nat(8) }), { minLength: 1, maxLength: 12 }),
        (shape, turns) => {
          const board = StepBoard.create(shape);
          const { stepsInFlight, workerCount, microBatchCount } = shape;
          const steps: StepDescriptor[] = [];
          for (const { ahead, parts } of turns) {
            // The caller's duty: at most `stepsInFlight` steps are under way once the next one is published.
            const oldest = Math.max(board.completed, steps.length - (ahead % stepsInFlight));
            for (let step = board.completed; step < oldest; step++) {
              for (let worker = 0; worker < workerCount; worker++) board.complete(worker, step);
            }
            expect(board.completed).toBe(oldest);
            const next = stepOf(steps.length * 11, 1 + (parts % microBatchCount));
            expect(board.publish(next)).toBe(steps.length);
            steps.push(next);
            expect(board.limit).toBe(steps.length);
            for (let step = oldest; step < steps.length; step++) {
              expect(board.describe(step)).toEqual(steps[step]);
            }
          }
          const last = steps.length - 1;
          const placeOf = (step: number): number => board.sums(step, 0).byteOffset;
          for (let step = last + 1; step < last + stepsInFlight; step++) {
            expect(placeOf(step)).not.toBe(placeOf(last));
          }
          expect(placeOf(last + stepsInFlight)).toBe(placeOf(last));
        },
      ),
    );
  });

  it('clears the sums of the step that it publishes and no others', () => {
    const board = StepBoard.create(SHAPE);
    board.publish(stepOf(0, 4));
    board.publish(stepOf(1, 4));
    for (const step of [0, 1]) {
      for (let stage = 0; stage < SHAPE.stageCount; stage++) board.sums(step, stage).fill(step + 1);
    }
    for (const worker of [0, 1, 2]) board.complete(worker, 0);
    board.publish(stepOf(2, 4));
    for (let stage = 0; stage < SHAPE.stageCount; stage++) {
      expect([...board.sums(2, stage)]).toEqual([0, 0, 0, 0, 0]);
      expect([...board.sums(1, stage)]).toEqual([2, 2, 2, 2, 2]);
    }
  });

  it('gives sums, times, descriptors and words memory of their own, for any shape', () => {
    fc.assert(
      fc.property(shapes, shape => {
        const board = StepBoard.create(shape);
        const { stepsInFlight, stageCount, workerCount, microBatchCount, sumCount, actionCount } = shape;
        const steps = Array.from({ length: stepsInFlight }, (_, step) => stepOf(step, microBatchCount));
        for (const step of steps) board.publish(step);
        for (let worker = 0; worker < workerCount; worker++) board.complete(worker, worker);
        const views = steps.flatMap((_, step) => [
          ...Array.from({ length: stageCount }, (_, stage) => board.sums(step, stage)),
          ...Array.from({ length: workerCount }, (_, worker) => board.times(step, worker)),
        ]);
        expect(views).toHaveLength(stepsInFlight * (stageCount + workerCount));
        views.forEach((view, index) => {
          view.fill(index + 1);
        });
        views.forEach((view, index) => {
          const isSums = index % (stageCount + workerCount) < stageCount;
          expect(view).toHaveLength(isSums ? sumCount : 2 * actionCount);
          expect(view.every(value => value === index + 1)).toBe(true);
        });
        for (const [position, step] of steps.entries()) expect(board.describe(position)).toEqual(step);
        expect(board.limit).toBe(stepsInFlight);
        expect(board.isEnded).toBe(false);
        for (let worker = 0; worker < workerCount; worker++) {
          expect(board.completedBy(worker)).toBe(worker + 1);
        }
      }),
    );
  });

  it('has completed what the slowest worker has completed', () => {
    const board = StepBoard.create(SHAPE);
    board.publish(stepOf(0, 4));
    board.publish(stepOf(1, 4));
    board.complete(0, 0);
    board.complete(0, 1);
    board.complete(2, 0);
    expect(board.completed).toBe(0);
    expect([0, 1, 2].map(worker => board.completedBy(worker))).toEqual([2, 0, 1]);
    board.complete(1, 0);
    expect(board.completed).toBe(1);
  });

  it('ends and is opened again without losing its steps', () => {
    const board = StepBoard.create(SHAPE);
    const attached = StepBoard.attach(board.buffer, board.layout);
    board.publish(stepOf(0, 4));
    board.end();
    expect(attached.isEnded).toBe(true);
    expect(attached.limit).toBe(1);
    board.reopen();
    expect(attached.isEnded).toBe(false);
    expect(board.publish(stepOf(1, 4))).toBe(1);
    expect(attached.describe(0)).toEqual(stepOf(0, 4));
  });

  it('wakes who sleeps on the limit when a step is published and when it ends', async () => {
    const board = StepBoard.create(SHAPE);
    expect(await wakeUp(board, () => board.publish(stepOf(0, 4)))).toBe('ok');
    expect(await wakeUp(board, () => board.end())).toBe('ok');
    expect(Atomics.load(board.words, END_INDEX)).toBe(1);
  });
});
