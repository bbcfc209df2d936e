import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ELEMENT_BYTES, type ElementType, type TensorHeader } from '#internal/protocol/tensor.js';
import {
  CapacityError,
  ChannelProducer,
  ControlBlock,
  MessageWriter,
  messageBytes,
  messageTag,
  readMessage,
  type SlotView,
  TransportError,
  Waiter,
} from '#internal/transport/index.js';
import { makeChannel } from './helpers.js';

function makeSlot(slotBytes: number): SlotView {
  const { arena, layout } = makeChannel(1, slotBytes);
  return new ChannelProducer(arena, layout, new Waiter(ControlBlock.create(0))).slot(0);
}

const TYPES: readonly ElementType[] = ['float32', 'int32', 'bool'];

const header: fc.Arbitrary<TensorHeader> = fc.record({
  dtype: fc.constantFrom(...TYPES),
  shape: fc.array(fc.nat(3), { maxLength: 8 }).filter(shape => shape.reduce((a, b) => a * b, 1) <= 4096),
});

const entries = fc.array(fc.option(header, { nil: undefined }), { maxLength: 9 });

/** Something recognisable: values of entry `e` start at `100 e`, modulo a byte so that bools hold them too. */
function fill(slot: SlotView, headers: readonly (TensorHeader | undefined)[], tag = 0): void {
  const writer = new MessageWriter(slot);
  writer.begin(headers.length, tag);
  headers.forEach((entry, e) => {
    if (entry === undefined) writer.absent();
    else {
      const data = writer.entry(entry);
      for (let i = 0; i < data.length; i++) data[i] = (100 * e + i) % 251;
    }
  });
}

describe('a message', () => {
  it('comes back as written, for all element types, ranks 0 to 8, empty and absent tensors', () => {
    fc.assert(
      fc.property(entries, fc.integer(), (headers, tag) => {
        const slot = makeSlot(messageBytes(headers));
        slot.bytes.fill(0xab);
        fill(slot, headers, tag);
        const read = readMessage(slot);
        expect(messageTag(slot)).toBe(tag);
        expect(read.map(entry => entry?.header)).toEqual(headers);
        read.forEach((entry, e) => {
          if (entry === undefined) return;
          const length = entry.header.shape.reduce((a, b) => a * b, 1);
          const expected = Array.from({ length }, (_, i) => (100 * e + i) % 251);
          expect(Array.from(entry.data)).toEqual(expected);
          expect(entry.data.BYTES_PER_ELEMENT).toBe(ELEMENT_BYTES[entry.header.dtype]);
          expect(entry.data.byteOffset % 64).toBe(0);
          expect(entry.data.buffer).toBe(slot.buffer);
        });
      }),
    );
  });

  it('needs exactly the bytes that messageBytes says', () => {
    fc.assert(
      fc.property(entries, headers => {
        const slotBytes = messageBytes(headers);
        fill(makeSlot(slotBytes), headers);
        if (slotBytes > 64) expect(() => fill(makeSlot(slotBytes - 64), headers)).toThrow(CapacityError);
      }),
    );
  });

  it.each(TYPES)('uses the array class of %s', dtype => {
    const slot = makeSlot(128);
    fill(slot, [{ dtype, shape: [4] }]);
    const classes = { float32: Float32Array, int32: Int32Array, bool: Uint8Array };
    expect(readMessage(slot)[0]?.data).toBeInstanceOf(classes[dtype]);
  });

  it('of one tensor has its data in the second cache line', () => {
    expect(messageBytes([{ dtype: 'float32', shape: [] }])).toBe(128);
    expect(messageBytes([undefined])).toBe(64);
    expect(messageBytes([])).toBe(64);
  });

  it('says expected and actual bytes when it outgrows its slot', () => {
    const writer = new MessageWriter(makeSlot(256));
    writer.begin(1);
    expect(() => writer.entry({ dtype: 'float32', shape: [49] })).toThrow(
      expect.objectContaining({ name: 'CapacityError', neededBytes: 320, availableBytes: 256 }),
    );
    // The refused entry took no header, so one that fits may still be written.
    expect(writer.entry({ dtype: 'float32', shape: [48] })).toHaveLength(48);
    expect(() => writer.begin(100)).toThrow(CapacityError);
  });

  it('that stopped half-way is refused, whatever the slot held before', () => {
    const slot = makeSlot(512);
    fill(slot, [
      { dtype: 'int32', shape: [2] },
      { dtype: 'int32', shape: [3] },
    ]);
    const writer = new MessageWriter(slot);
    writer.begin(2);
    writer.entry({ dtype: 'int32', shape: [2] });
    expect(() => readMessage(slot)).toThrow(/entry 1 .* never written/);
  });

  it('refuses one entry more than announced, and a ninth axis', () => {
    const writer = new MessageWriter(makeSlot(512));
    writer.begin(1);
    expect(() => writer.entry({ dtype: 'bool', shape: [1, 1, 1, 1, 1, 1, 1, 1, 1] })).toThrow(TransportError);
    writer.absent();
    expect(() => writer.absent()).toThrow(TransportError);
    expect(() => writer.entry({ dtype: 'bool', shape: [] })).toThrow(TransportError);
  });

  it('is not found in a poisoned slot', () => {
    const slot = makeSlot(128);
    fill(slot, [undefined]);
    slot.bytes.fill(0xff);
    expect(() => readMessage(slot)).toThrow(/holds no message/);
  });
});
