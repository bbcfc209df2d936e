import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { allocations, expectClose, RELATIVE_ERROR, resultsOn, use, values } from './both-backends.js';

const SIZES: Readonly<Record<string, number>> = { a: 2, b: 3, c: 4, d: 5, e: 1 };
const LABELS = Object.keys(SIZES);

const term = fc.shuffledSubarray(LABELS, { minLength: 1, maxLength: 4 });
const equation = fc.array(term, { minLength: 1, maxLength: 2 }).chain(terms =>
  fc.record({
    terms: fc.constant(terms),
    output: fc.shuffledSubarray([...new Set(terms.flat())]),
    dtype: fc.constantFrom<'float32' | 'int32'>('float32', 'int32'),
  }),
);

/** The definition: for every value of all labels, the product of the operands is added to its output. */
function definition(
  terms: readonly string[][],
  output: readonly string[],
  operands: readonly number[][],
): number[] {
  const used = [...new Set([...terms.flat(), ...output])];
  const size = (labels: readonly string[]): number =>
    labels.reduce((product, label) => product * (SIZES[label] as number), 1);
  const position = (labels: readonly string[], at: ReadonlyMap<string, number>): number =>
    labels.reduce((index, label) => index * (SIZES[label] as number) + (at.get(label) as number), 0);
  const result = new Array<number>(size(output)).fill(0);
  for (let combination = 0; combination < size(used); combination++) {
    const at = new Map<string, number>();
    let rest = combination;
    for (const label of used) {
      at.set(label, rest % (SIZES[label] as number));
      rest = Math.floor(rest / (SIZES[label] as number));
    }
    const product = terms.reduce(
      (value, labels, index) => value * (operands[index]?.[position(labels, at)] as number),
      1,
    );
    result[position(output, at)] = (result[position(output, at)] as number) + product;
  }
  return result;
}

describe('Einsum on wasm', () => {
  // Not against cpu: that one returns a wrong shape when each operand has labels of its own to sum over.
  it('computes every equation of one or two operands by the definition', async () => {
    await use('wasm');
    const before = allocations();
    await fc.assert(
      fc.asyncProperty(equation, async ({ terms, output, dtype }) => {
        const text = `${terms.map(labels => labels.join('')).join(',')}->${output.join('')}`;
        const [result, ...operands] = await resultsOn('wasm', () => {
          const inputs = terms.map((labels, index) =>
            values(
              labels.map(label => SIZES[label] as number),
              index + 1,
            )
              .mul(10)
              .cast(dtype),
          );
          return [tf.einsum(text, ...inputs), ...inputs];
        });
        expect(result?.shape).toEqual(output.map(label => SIZES[label]));
        expect(result?.dtype).toBe(dtype);
        const expected = definition(
          terms,
          output,
          operands.map(operand => operand.values),
        );
        // Terms of both signs may leave a sum of nothing but their rounding, so the terms' sizes say what rounding may be.
        const sizes = definition(
          terms,
          output,
          operands.map(operand => operand.values.map(Math.abs)),
        );
        expectClose(result?.values ?? [], expected, RELATIVE_ERROR, text, sizes);
      }),
      { numRuns: 200 },
    );
    expect(allocations()).toEqual(before);
  });

  it('refuses what tfjs refuses, in its words', async () => {
    await use('wasm');
    expect(() => tf.einsum('aa->a', tf.zeros([2, 2]))).toThrow('duplicate axes');
    expect(() => tf.einsum('ab,bc->ac', tf.zeros([2, 3]), tf.zeros([4, 2]))).toThrow('Expected dimension');
    expect(() => tf.einsum('ab->ac', tf.zeros([2, 3]))).toThrow('not present');
  });
});
