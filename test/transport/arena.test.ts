import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Arena, CapacityError, MAX_ARENA_BYTES, TransportError } from '#internal/transport/index.js';

const PAGE_BYTES = 65_536;

describe('an arena', () => {
  it('is a shared buffer of whole pages with every byte zero', () => {
    const arena = Arena.create(PAGE_BYTES + 1);
    expect(arena.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(arena.buffer.byteLength).toBe(2 * PAGE_BYTES);
    expect(new Uint8Array(arena.buffer).every(byte => byte === 0)).toBe(true);
  });

  it('hands out parts that are aligned, in order, apart and counted', () => {
    const request = fc.record({
      byteLength: fc.nat(5000),
      alignment: fc.constantFrom(undefined, 1, 4, 64, 256, 4096),
    });
    fc.assert(
      fc.property(fc.array(request, { maxLength: 12 }), requests => {
        const arena = Arena.create(2 * PAGE_BYTES);
        let end = 0;
        for (const { byteLength, alignment = 64 } of requests) {
          const offset = arena.allocate(byteLength, alignment);
          expect(offset % alignment).toBe(0);
          expect(offset).toBeGreaterThanOrEqual(end);
          expect(offset - end).toBeLessThan(alignment);
          end = offset + byteLength;
          expect(arena.usedBytes).toBe(end);
        }
      }),
    );
  });

  it('shows what one view writes in another that attached to the same memory', () => {
    const arena = Arena.create(64);
    const attached = Arena.attach(arena.memory);
    new Int32Array(arena.buffer)[5] = 42;
    expect(new Int32Array(attached.buffer)[5]).toBe(42);
  });

  it('lets only its creator allocate', () => {
    expect(() => Arena.attach(Arena.create(64).memory).allocate(64)).toThrow(TransportError);
  });

  it('refuses a memory that is not shared', () => {
    expect(() => Arena.attach(new WebAssembly.Memory({ initial: 1, maximum: 1 }))).toThrow(TransportError);
  });

  it('fills up to the last byte and then refuses with needed and available bytes', () => {
    const arena = Arena.create(PAGE_BYTES);
    arena.allocate(PAGE_BYTES - 64);
    expect(() => arena.allocate(65)).toThrow(
      expect.objectContaining({ name: 'CapacityError', neededBytes: 65, availableBytes: 64 }),
    );
    expect(arena.allocate(64)).toBe(PAGE_BYTES - 64);
    expect(() => arena.allocate(1)).toThrow(expect.objectContaining({ availableBytes: 0 }));
  });

  it('reaches 4 GiB, views beyond 2 GiB included', () => {
    const arena = Arena.create(MAX_ARENA_BYTES);
    arena.allocate(MAX_ARENA_BYTES - 128);
    const byteOffset = arena.allocate(128);
    expect(byteOffset).toBe(2 ** 32 - 128);
    const view = new Float32Array(arena.buffer, byteOffset, 32);
    view[31] = 1.5;
    expect(new Float32Array(Arena.attach(arena.memory).buffer, byteOffset, 32)[31]).toBe(1.5);
  });

  it.each([MAX_ARENA_BYTES + 1, -1, Number.NaN])('refuses %d bytes by name', byteLength => {
    expect(() => Arena.create(byteLength)).toThrow(CapacityError);
    expect(() => Arena.create(byteLength)).toThrow(`needs ${byteLength} bytes; ${MAX_ARENA_BYTES} bytes`);
  });

  it.each([0, 3, -64, 2 * PAGE_BYTES])('refuses an alignment of %d', alignment => {
    expect(() => Arena.create(64).allocate(1, alignment)).toThrow(TransportError);
  });

  it.each([-1, 0.5, Number.NaN])('refuses to allocate %d bytes', byteLength => {
    expect(() => Arena.create(64).allocate(byteLength)).toThrow(TransportError);
  });
});
