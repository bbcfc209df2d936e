/** Which plans are simulated for a machine's workers, with times that are given rather than measured. */
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { readGraph } from '#internal/model/index.js';
import { type PipelineOptions, parseOptions } from '#internal/options.js';
import { predictPlans } from '#internal/scheduler/driver/auto/stage-plans.js';
import { MeasuredCosts, type UnitCost } from '#internal/scheduler/driver/measure.js';
import { MemoryLimitError } from '#internal/scheduler/plan/index.js';
import { PLAIN_TRAINING } from '../plan-request.js';

beforeAll(() => tf.setBackend('cpu'));

const { layers } = tf;

/** The plans for a row of dense layers of which each takes so many milliseconds a row and pass, and so many a call. */
function plansFor(
  msPerRow: readonly number[],
  workerCount: number,
  options: PipelineOptions = {},
  mixing?: string,
) {
  const model = tf.sequential({ layers: msPerRow.map(() => layers.dense({ units: 4, inputShape: [4] })) });
  const graph = readGraph(model);
  model.dispose();
  const at = (rows: number) => ({
    rows,
    units: msPerRow.map((ms): UnitCost => {
      const all = ms * rows;
      return { forwardMs: all, backwardInputMs: all, backwardWeightMs: all, accumulateMs: 0, stepMs: 0 };
    }),
  });
  const request = {
    graph,
    options: parseOptions({ batchSize: 64, ...options }),
    stageCount: 1,
    replicas: 1,
    ...PLAIN_TRAINING,
    coupling: { ...PLAIN_TRAINING.coupling, mixing },
  };
  return predictPlans(request, new MeasuredCosts(at(8), at(64)), workerCount);
}

type Predicted = ReturnType<typeof plansFor>[number];

const isStaged = ({ plan }: Predicted): boolean => plan.cut.stages.length > 1;
const nameOf = ({ plan }: Predicted): string => plan.schedule.name;

describe('predicted plans', () => {
  it('are one for every number of replicas that uses the workers, with and without stages, and every schedule that the model can be cut for', () => {
    const shapes = plansFor([1, 1, 1, 1, 1, 1], 4).map(
      ({ plan: { replicas, schedule } }) =>
        `${replicas} × ${schedule.stageCount} on ${new Set(schedule.workerOfStage).size}, ${schedule.name}`,
    );
    expect(shapes.sort()).toEqual([
      '1 × 1 on 1, zero-bubble',
      '1 × 4 on 4, zero-bubble',
      '2 × 1 on 1, zero-bubble',
      '2 × 2 on 2, zero-bubble',
      '2 × 4 on 2, interleaved',
      '2 × 4 on 2, zb-v',
      '4 × 1 on 1, zero-bubble',
    ]);
  });

  const shapesOf = (plans: readonly Predicted[]): string[] =>
    plans.map(({ plan }) => `${plan.replicas} × ${new Set(plan.schedule.workerOfStage).size}`);

  it('have stages where samples are tied together, on more workers than the model can be cut for', () => {
    const tied = 'a loss of the user';
    const unlimited = plansFor([1, 1, 1, 1], 16, {}, tied);
    expect(shapesOf(unlimited).sort()).toEqual(['1 × 1', '1 × 4']);
    const [whole] = unlimited.find(one => !isStaged(one))!.plan.workerBytes;
    expect(shapesOf(plansFor([1, 1, 1, 1], 16, { memoryLimit: whole! - 1 }, tied))).toContain('1 × 4');
  });

  it('have as many replicas as there are samples at the most', () => {
    expect(shapesOf(plansFor([1, 1, 1, 1], 8, { batchSize: 3 }))).toContain('3 × 2');
    expect(shapesOf(plansFor([1, 1], 4, { batchSize: 1 })).sort()).toEqual(['1 × 1', '1 × 2']);
    expect(shapesOf(plansFor([1, 1], 64, { batchSize: 3 })).sort()).toEqual([
      '1 × 1',
      '1 × 2',
      '3 × 1',
      '3 × 2',
    ]);
  });

  it('have one replica of all stages too, where several of them use more workers, and all halves of the workers', () => {
    const shapes = shapesOf(plansFor([1, 1, 1, 1, 1], 16));
    expect([...new Set(shapes)].sort()).toEqual(
      [
        '1 × 1',
        '1 × 5',
        '2 × 1',
        '2 × 5',
        '3 × 1',
        '3 × 5',
        '4 × 1',
        '4 × 4',
        '5 × 1',
        '5 × 3',
        '8 × 1',
        '8 × 2',
        '16 × 1',
      ].sort(),
    );
  });

  it('are no more than the model can be cut for', () => {
    expect(plansFor([10, 10, 10], 2).filter(isStaged).map(nameOf)).toEqual(['zero-bubble']);
  });

  it('begin with stages in a V where the bubble is long and messages cost nearly nothing', () => {
    const equal = [10, 10, 10, 10, 10, 10, 10, 10];
    const [first] = plansFor(equal, 4, { microBatches: 4 }).filter(({ plan }) => plan.replicas === 1);
    expect(first!.plan.schedule).toMatchObject({
      name: 'zb-v',
      stageCount: 8,
      workerOfStage: [0, 1, 2, 3, 3, 2, 1, 0],
    });
  });

  it('begin with one stage a worker where messages cost more than the bubble', () => {
    const all = plansFor([0.001, 0.001, 0.001, 0.001, 0.001, 0.001], 2, { microBatches: 2 });
    expect(all.filter(isStaged).map(nameOf)[0]).toBe('zero-bubble');
  });

  it('come in the order of their times, those with more stages than workers a tenth behind', () => {
    const times = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 4, maxLength: 6 });
    fc.assert(
      fc.property(times, fc.integer({ min: 1, max: 6 }), (msPerRow, microBatches) => {
        const ranks = plansFor(msPerRow, 2, { microBatches, batchSize: 12 }).map(
          one => one.predictedMs * (nameOf(one) === 'zero-bubble' ? 1 : 1.1),
        );
        expect(ranks).toEqual([...ranks].sort((one, other) => one - other));
      }),
      { numRuns: 20 },
    );
  });

  it('are refused where none keeps within the memory limit', () => {
    expect(() => plansFor([1, 1, 1, 1], 2, { memoryLimit: 16 })).toThrow(MemoryLimitError);
  });
});
