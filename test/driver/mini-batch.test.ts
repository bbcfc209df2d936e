import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { ElementType, TensorData } from '#internal/protocol/tensor.js';
import {
  gatherRows,
  geometryOf,
  type SampleArray,
  sampleSize,
  splitRows,
} from '#internal/scheduler/driver/mini-batch.js';

const ARRAYS = { float32: Float32Array, int32: Int32Array, bool: Uint8Array } as const;

/** Samples of a random element type and shape, the shape of one sample being empty, and rows to take of them. */
const takings = fc
  .record({
    dtype: fc.constantFrom<ElementType>('float32', 'int32', 'bool'),
    shape: fc.array(fc.nat(4), { maxLength: 4 }),
    sampleCount: fc.integer({ min: 1, max: 20 }),
  })
  .chain(({ dtype, shape, sampleCount }) =>
    fc
      .record({
        rows: fc.array(fc.nat(sampleCount - 1), { minLength: 1, maxLength: 30 }),
        bounds: fc.tuple(fc.nat(30), fc.nat(30)),
      })
      .map(({ rows, bounds }) => {
        const [start, end] = bounds.map(bound => bound % (rows.length + 1)).sort((a, b) => a - b) as [
          number,
          number,
        ];
        return { dtype, shape, sampleCount, rows, start, count: end - start };
      }),
  );

function samplesOf(dtype: ElementType, shape: readonly number[], sampleCount: number): SampleArray {
  const size = shape.reduce((product, axis) => product * axis, 1);
  const data: TensorData = new ARRAYS[dtype](sampleCount * size);
  for (let index = 0; index < data.length; index++) {
    data[index] = dtype === 'bool' ? ((index * 7) % 3) & 1 : index - 50 + (dtype === 'float32' ? 0.25 : 0);
  }
  return { header: { dtype, shape }, data };
}

describe('gathered rows', () => {
  beforeAll(async () => {
    tf.enableProdMode();
    await tf.setBackend('cpu');
  });

  it('equal those of tf.gather for any element type, sample shape and rows', () => {
    fc.assert(
      fc.property(takings, ({ dtype, shape, sampleCount, rows, start, count }) => {
        const source = samplesOf(dtype, shape, sampleCount);
        const size = sampleSize(source);
        const into = new ARRAYS[dtype](count * size);
        gatherRows(source, Uint32Array.from(rows), start, count, into);
        const expected = tf.tidy(() =>
          tf
            .gather(
              tf.tensor(source.data, [sampleCount, ...shape], dtype),
              tf.tensor1d(rows.slice(start, start + count), 'int32'),
            )
            .dataSync(),
        );
        expect(Array.from(into)).toEqual(Array.from(expected));
      }),
    );
  });

  it('leave what follows them in the target alone', () => {
    const source = samplesOf('float32', [2], 5);
    const into = new Float32Array(6).fill(99);
    gatherRows(source, [4, 1, 3], 1, 2, into);
    expect([...into]).toEqual([-47.75, -46.75, -43.75, -42.75, 99, 99]);
  });
});

describe('the rows of a mini-batch', () => {
  it('are split into micro-batches that are full but for the last, and add up', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 500 }),
        fc.integer({ min: 1, max: 60 }),
        (rows, microBatchRows) => {
          const sizes = splitRows(rows, microBatchRows);
          expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(rows);
          expect(sizes.slice(0, -1).every(size => size === microBatchRows)).toBe(true);
          expect(sizes.at(-1)).toBeGreaterThan(0);
          expect(sizes.at(-1)).toBeLessThanOrEqual(microBatchRows);
        },
      ),
    );
  });

  it.each([
    { rows: 32, microBatchRows: 8, sizes: [8, 8, 8, 8] },
    { rows: 30, microBatchRows: 8, sizes: [8, 8, 8, 6] },
    { rows: 9, microBatchRows: 8, sizes: [8, 1] },
    { rows: 3, microBatchRows: 8, sizes: [3] },
    { rows: 0, microBatchRows: 8, sizes: [] },
  ])('$rows in micro-batches of $microBatchRows are $sizes', ({ rows, microBatchRows, sizes }) => {
    expect(splitRows(rows, microBatchRows)).toEqual(sizes);
  });

  it('fit into the micro-batches that their session was made for', () => {
    const data = { inputs: [samplesOf('int32', [3], 1)], targets: [samplesOf('float32', [], 1)] };
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 500 }),
        fc.integer({ min: 1, max: 16 }),
        fc.nat(499),
        (batchSize, microBatchCount, fewer) => {
          const geometry = geometryOf('train', data, batchSize, microBatchCount);
          const rows = 1 + (fewer % batchSize);
          expect(splitRows(rows, geometry.microBatchRows).length).toBeLessThanOrEqual(microBatchCount);
          expect(geometry).toMatchObject({
            mode: 'train',
            inputs: [{ dtype: 'int32', shape: [3] }],
            targets: [{ dtype: 'float32', shape: [] }],
          });
        },
      ),
    );
  });
});
