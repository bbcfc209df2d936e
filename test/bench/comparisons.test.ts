/** Who is compared with whom, which models count, and what happens when a side is missing. */
import { describe, expect, it } from 'vitest';
import { COMPARISONS, compare } from '../../bench/run/comparisons.mjs';
import { row, rowsOf } from './rows.js';

const named = (title: string) => {
  const comparison = COMPARISONS.find(each => each.title === title);
  if (comparison === undefined) throw new Error(`no comparison '${title}'`);
  return comparison;
};

const TWO = 'millrace tensorflow 2-stage';
const NODE = 'tfjs-node tensorflow';

describe('a ratio', () => {
  it("is the peer's time divided by Millrace's, of the row with the right plan and backend", () => {
    const rows = rowsOf({
      mlp: {
        [NODE]: 40,
        'tfjs-node-1-thread tensorflow': 30,
        'millrace tensorflow 1-stage': 15,
        [TWO]: 8,
        'millrace wasm 2-stage': 100,
        'simulated-bound tensorflow 2-stage': 6,
        'simulated-bound wasm 2-stage': 90,
        'simulated-bound tensorflow auto': 9,
        'limit tensorflow': 7,
        'limit torch': 2,
        'torch torch': 4,
        'torch-pipelining torch': 12,
        'tfjs-wasm wasm': 1000,
        'millrace tensorflow auto': 10,
        'millrace tensorflow 2-replica': 6,
      },
    });
    const ratios = COMPARISONS.map(comparison => [
      comparison.title,
      compare(comparison, rows).lines[0]?.ratio,
    ]);
    expect(ratios).toEqual([
      ['Two stages and tfjs-node', 5],
      ['Two stages and PyTorch on all cores', 0.5],
      ['Two stages and torch.distributed.pipelining', 1.5],
      ['Two stages on wasm and plain tfjs on wasm', 10],
      ['One stage and tfjs-node with one thread', 2],
      ['Two stages and their simulated bound', 0.75],
      ['Two stages and the limit of the machine', 0.875],
      ["Two stages and PyTorch's limit", 0.25],
      ['What `auto` chooses and the better of both tfjs-node', 3],
      ['What `auto` chooses and PyTorch on all cores', 0.4],
      ['What `auto` chooses and the limit of the machine', 0.7],
      ['What `auto` chooses and its simulated bound', 0.9],
      ['What `auto` chooses and the best of all plans', 0.6],
    ]);
  });
});

describe('the mean of ratios', () => {
  it('is geometric, over the counted models alone', () => {
    const rows = rowsOf({
      mlp: { [NODE]: 20, [TWO]: 10 },
      cnn: { [NODE]: 80, [TWO]: 10 },
      wide: { [NODE]: 1, [TWO]: 10 },
      tiny: { [NODE]: 1, [TWO]: 100 },
    });
    const { mean, countedCount, least, lines } = compare(named('Two stages and tfjs-node'), rows);
    expect(mean).toBeCloseTo(4, 12);
    expect(countedCount).toBe(2);
    expect(least?.model).toBe('mlp');
    expect(lines.map(({ model, isCounted }) => [model, isCounted])).toEqual([
      ['mlp', true],
      ['cnn', true],
      ['wide', false],
      ['tiny', false],
    ]);
  });

  it('counts the wide and the tiny model where none may be slower', () => {
    const rows = rowsOf({ tiny: { [NODE]: 4, 'millrace tensorflow auto': 5 } });
    expect(compare(named('What `auto` chooses and the better of both tfjs-node'), rows).least?.ratio).toBe(
      0.8,
    );
  });

  it("counts tfjs's own LSTM beside tfjs, and the one with sigmoid gates beside PyTorch, never both", () => {
    const times = { [NODE]: 20, 'torch torch': 10, [TWO]: 10 };
    const { 'torch torch': _, ...withoutTorch } = times;
    const rows = rowsOf({ lstm: withoutTorch, 'lstm-sigmoid': times });
    const countedIn = (title: string) =>
      compare(named(title), rows).lines.map(({ model, isCounted }) => [model, isCounted]);
    expect(countedIn('Two stages and tfjs-node')).toEqual([
      ['lstm', true],
      ['lstm-sigmoid', false],
    ]);
    expect(countedIn('Two stages and PyTorch on all cores')).toEqual([['lstm-sigmoid', true]]);
  });

  it('names counted models that have one side only, and leaves out those that have none', () => {
    const rows = rowsOf({ mlp: { [NODE]: 20, [TWO]: 10 }, cnn: { [TWO]: 10 } });
    const { mean, missing, lines } = compare(named('Two stages and tfjs-node'), rows);
    expect(mean).toBeCloseTo(2, 12);
    expect(missing).toEqual(['cnn']);
    expect(lines.find(({ model }) => model === 'cnn')?.ratio).toBeUndefined();
    expect(lines).toHaveLength(2);
  });

  it('does not exist when nothing was measured', () => {
    const { mean, least, lines } = compare(named('Two stages and tfjs-node'), []);
    expect([mean, least, lines]).toEqual([undefined, undefined, []]);
  });

  it('does not miss what plain tfjs on wasm cannot train', () => {
    const [own, plain] = ['millrace wasm 2-stage', 'tfjs-wasm wasm'];
    const rows = rowsOf({ mlp: { [own]: 10, [plain]: 90 }, 'text-cnn': { [own]: 10 } });
    const { lines, missing, countedCount } = compare(
      named('Two stages on wasm and plain tfjs on wasm'),
      rows,
    );
    expect(lines.map(({ model, cannotTrain }) => [model, cannotTrain])).toEqual([
      ['mlp', false],
      ['text-cnn', true],
    ]);
    expect(missing).toEqual([]);
    expect(countedCount).toBe(1);
  });
});

describe('a plan beside itself', () => {
  const best = named('What `auto` chooses and the best of all plans');
  const replicas = { stages: 1, replicas: 2, microBatches: 1, schedule: 'zero-bubble' };
  const stages = { stages: 2, replicas: 1, microBatches: 2, schedule: 'zero-bubble' };
  const linesOf = (auto: Partial<typeof stages>) =>
    compare(best, [
      row('mlp', TWO, 12, stages),
      row('mlp', 'millrace tensorflow 2-replica', 9, replicas),
      row('mlp', 'millrace tensorflow auto', 10, auto),
    ]).lines;

  it('is told from a worse choice', () => {
    expect(linesOf(replicas)).toMatchObject([{ isSamePlan: true, ratio: 0.9 }]);
    expect(linesOf(stages)).toMatchObject([{ isSamePlan: false, ratio: 0.9 }]);
    expect(linesOf({ ...replicas, microBatches: 2 })).toMatchObject([{ isSamePlan: false }]);
  });

  it('is held to account for what no round of either was like', () => {
    const slow = { ...replicas, msPerStep: { median: 12, min: 8, max: 13 } };
    const { lines } = compare(best, [
      row('mlp', 'millrace tensorflow 2-replica', 9, {
        ...replicas,
        msPerStep: { median: 7.5, min: 7, max: 9 },
      }),
      row('mlp', 'millrace tensorflow auto', 12, slow),
    ]);
    expect(lines).toMatchObject([{ isSamePlan: false, ratio: 0.625 }]);
  });

  it('is looked for among plans alone', () => {
    const rows = [row('mlp', TWO, 12, stages), row('mlp', 'simulated-bound tensorflow 2-stage', 9, stages)];
    expect(compare(named('Two stages and their simulated bound'), rows).lines).toMatchObject([
      { isSamePlan: false, ratio: 0.75 },
    ]);
  });

  it('is not known where no plan was reported', () => {
    expect(compare(best, rowsOf({ mlp: { [TWO]: 9, 'millrace tensorflow auto': 10 } })).lines).toMatchObject([
      { isSamePlan: false },
    ]);
  });
});
