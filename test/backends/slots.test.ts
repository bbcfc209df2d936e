/**
 * What every backend promises of tensors in shared memory. The backends take turns in one process: each tensor stays with
 * the backend that is current when it is made.
 */
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Backend, loadBackend } from '#internal/backends/index.js';
import { prepareAddon } from '#internal/backends/tensorflow/index.js';
import {
  ELEMENT_BYTES,
  type ElementType,
  type TensorData,
  type TensorHeader,
} from '#internal/protocol/tensor.js';
import { Arena } from '#internal/transport/index.js';
import { backends } from '../helpers/backends.js';

const TYPES: readonly ElementType[] = ['float32', 'int32', 'bool'];
const ARRAYS = { float32: Float32Array, int32: Int32Array, bool: Uint8Array } as const;
const GUARD_BYTES = 64;
const GUARD = 0xa5;

interface Slot {
  readonly data: TensorData;
  /** Whether the bytes on both sides are as they were. */
  isAlone(): boolean;
}

/** A 64-byte-aligned slot of a shared WebAssembly memory, with marked bytes before and right behind it. */
function makeSlot(dtype: ElementType, elementCount: number): Slot {
  const dataBytes = elementCount * ELEMENT_BYTES[dtype];
  const arena = Arena.create(dataBytes + 3 * GUARD_BYTES);
  new Uint8Array(arena.buffer).fill(GUARD);
  arena.allocate(GUARD_BYTES);
  const byteOffset = arena.allocate(dataBytes + GUARD_BYTES);
  const around = [
    new Uint8Array(arena.buffer, 0, byteOffset),
    new Uint8Array(arena.buffer, byteOffset + dataBytes, GUARD_BYTES),
  ];
  const View = ARRAYS[dtype] as new (
    buffer: SharedArrayBuffer,
    byteOffset: number,
    length: number,
  ) => TensorData;
  return {
    data: new View(arena.buffer, byteOffset, elementCount),
    isAlone: () => around.every(bytes => bytes.every(byte => byte === GUARD)),
  };
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((size, axis) => size * axis, 1);

/** Element types, ranks 0 to 6, no or some elements; values include the extremes. */
const tensors: fc.Arbitrary<{ header: TensorHeader; values: number[] }> = fc
  .record({
    dtype: fc.constantFrom(...TYPES),
    shape: fc.array(fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 1, max: 4 }) }, fc.constant(0)), {
      maxLength: 6,
    }),
  })
  .chain(header => {
    const element = {
      float32: fc.float(),
      int32: fc.integer(),
      bool: fc.nat(1),
    }[header.dtype];
    const length = sizeOf(header.shape);
    return fc
      .array(element, { minLength: Math.min(length, 64), maxLength: 64 })
      .map(some => ({ header, values: Array.from({ length }, (_, index) => some[index % some.length]!) }));
  });

function slotWith(header: TensorHeader, values: readonly number[]): Slot {
  const slot = makeSlot(header.dtype, values.length);
  slot.data.set(values);
  return slot;
}

/** An operation on the tensor's own type, so that the result is made by the backend and lies in its memory. */
function computed(tensor: tf.Tensor): tf.Tensor {
  if (tensor.dtype === 'bool') return tf.logicalNot(tensor);
  return tf.sub(tensor, tf.scalar(1, tensor.dtype));
}

function expectedOf({ dtype }: TensorHeader, values: readonly number[]): TensorData {
  return ARRAYS[dtype].from(values.map(value => (dtype === 'bool' ? 1 - value : value - 1)));
}

/** Small whole numbers from `first` on, as each type holds them. */
const counting = (dtype: ElementType, length: number, first = 1): number[] =>
  Array.from({ length }, (_, index) => (dtype === 'bool' ? (first + index) % 2 : first + index));

describe.each(backends())('a slot on %s', name => {
  let backend: Backend;

  beforeAll(async () => {
    tf.enableProdMode();
    if (name === 'tensorflow') prepareAddon();
    backend = await loadBackend(name);
    expect(tf.getBackend()).toBe(name);
  });

  it('gives the tensor that lies in it, for any element type and shape', () => {
    fc.assert(
      fc.property(tensors, ({ header, values }) => {
        const slot = slotWith(header, values);
        const tensor = backend.fromSlot(slot.data, header);
        expect(tensor.shape).toEqual(header.shape);
        expect(tensor.dtype).toBe(header.dtype);
        expect(Array.from(tensor.dataSync())).toEqual(Array.from(slot.data));
        tensor.dispose();
      }),
    );
  });

  it('gives a tensor that can be computed with, and takes the result, for any element type and shape', () => {
    fc.assert(
      fc.property(tensors, ({ header, values }) => {
        const from = slotWith(header, header.dtype === 'float32' ? values.map((_, index) => index) : values);
        const into = makeSlot(header.dtype, values.length);
        const expected = expectedOf(header, Array.from(from.data));
        tf.tidy(() => backend.toSlot(computed(backend.fromSlot(from.data, header)), into.data));
        expect(into.data).toEqual(expected);
        expect(into.isAlone()).toBe(true);
        expect(from.isAlone()).toBe(true);
      }),
    );
  });

  it('takes a tensor bit by bit and touches nothing beside it', () => {
    fc.assert(
      fc.property(tensors, ({ header, values }) => {
        const from = slotWith(header, values);
        const into = makeSlot(header.dtype, values.length);
        tf.tidy(() => backend.toSlot(backend.fromSlot(from.data, header), into.data));
        expect(Array.from(into.data)).toEqual(Array.from(from.data));
        expect(into.isAlone()).toBe(true);
      }),
    );
  });

  describe.each(TYPES)('of %s', dtype => {
    const header: TensorHeader = { dtype, shape: [3, 5] };

    it('leaves a written tensor with its owner, as it was, and makes no other', () => {
      const values = counting(dtype, 15);
      const tensor = tf.tidy(() => computed(tf.tensor(ARRAYS[dtype].from(values), [3, 5], dtype)));
      const expected = Array.from(expectedOf(header, values));
      const slot = makeSlot(dtype, 15);
      const before = tf.memory().numTensors;
      backend.toSlot(tensor, slot.data);
      expect(tf.memory().numTensors).toBe(before);
      slot.data.fill(0);
      expect(Array.from(tensor.dataSync())).toEqual(expected);
      backend.toSlot(tensor, slot.data);
      expect(Array.from(slot.data)).toEqual(expected);
      tensor.dispose();
    });

    it('takes one tensor after another', () => {
      const slot = makeSlot(dtype, 15);
      for (let first = 0; first < 4; first++) {
        const values = counting(dtype, 15, first);
        tf.tidy(() => backend.toSlot(tf.tensor(ARRAYS[dtype].from(values), [3, 5], dtype), slot.data));
        expect(Array.from(slot.data)).toEqual(values);
      }
    });

    it('takes what reshaping, slicing and cloning have made of a tensor', () => {
      const from = slotWith(header, counting(dtype, 15));
      const all = counting(dtype, 15);
      const views: [(tensor: tf.Tensor) => tf.Tensor, number[]][] = [
        [tensor => tf.reshape(tensor, [5, 3]), all],
        [tensor => tf.clone(tensor), all],
        [tensor => tf.slice(tensor, [1, 0], [1, 5]), all.slice(5, 10)],
        [tensor => tf.slice(tensor, [0, 1], [2, 2]), [1, 2, 6, 7].map(index => all[index]!)],
      ];
      for (const [view, expected] of views) {
        const into = makeSlot(dtype, expected.length);
        tf.tidy(() => backend.toSlot(view(backend.fromSlot(from.data, header)), into.data));
        expect(Array.from(into.data)).toEqual(expected);
        expect(into.isAlone()).toBe(true);
      }
    });

    it('is read on by its tensor, and by what reshaping and cloning made of it, exactly where slots are aliased', () => {
      const values = counting(dtype, 15);
      const later = counting(dtype, 15, 2);
      const slot = slotWith(header, values);
      const tensor = backend.fromSlot(slot.data, header);
      // Used once, so that a backend that copies when it first computes has had its chance.
      tf.tidy(() => {
        expect(computed(tensor).dataSync()).toEqual(expectedOf(header, values));
      });
      const derived = [tensor, tf.reshape(tensor, [15]), tf.clone(tensor)];
      slot.data.set(later);
      for (const each of derived) {
        const seen = tf.tidy(() => computed(each).dataSync());
        expect(seen).toEqual(expectedOf(header, backend.aliasesSlots ? later : values));
      }
      tf.dispose(derived);
    });

    it('may be used for something else once its tensors are gone', () => {
      const values = counting(dtype, 15);
      const slot = slotWith(header, values);
      const before = tf.memory().numTensors;
      const result = tf.tidy(() => computed(backend.fromSlot(slot.data, header)));
      slot.data.fill(0);
      expect(result.dataSync()).toEqual(expectedOf(header, values));
      result.dispose();
      expect(tf.memory().numTensors).toBe(before);
    });
  });
});
