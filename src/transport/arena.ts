/**
 * The memory that tensors cross threads in: one shared WebAssembly memory, cut up once by its creator.
 *
 * TensorFlow uses a typed array in place when its address is 64-byte aligned. A plain SharedArrayBuffer's is
 * not; a shared WebAssembly memory is page aligned and its buffer is a SharedArrayBuffer all the same. Its size
 * is fixed at creation, because growing would leave the views of other threads short.
 *
 * Nothing is ever freed: an arena lives as long as the layout it holds. What lies where is for `layout.ts`.
 */
import { ALIGNMENT_BYTES, alignUp } from '../protocol/alignment.js';
import { CapacityError, TransportError } from './errors.js';

const PAGE_BYTES = 65_536;

/** What 32-bit WebAssembly addresses reach: 4 GiB. */
export const MAX_ARENA_BYTES = 65_536 * PAGE_BYTES;

export class Arena {
  /** Give this to other threads (by `postMessage` or `workerData`) for them to attach to: it crosses shared. */
  readonly memory: WebAssembly.Memory;
  readonly buffer: SharedArrayBuffer;
  readonly #isCreator: boolean;
  #usedBytes = 0;

  private constructor(memory: WebAssembly.Memory, isCreator: boolean) {
    if (!(memory.buffer instanceof SharedArrayBuffer)) {
      throw new TransportError('an arena needs a shared WebAssembly memory; this one is not shared');
    }
    this.memory = memory;
    this.buffer = memory.buffer;
    this.#isCreator = isCreator;
  }

  /** Reserves at least so many bytes, all zero. The system commits a page when it is first touched. */
  static create(byteLength: number): Arena {
    if (!(byteLength >= 0 && byteLength <= MAX_ARENA_BYTES)) {
      throw new CapacityError('an arena', byteLength, MAX_ARENA_BYTES);
    }
    const pages = Math.max(1, Math.ceil(byteLength / PAGE_BYTES));
    try {
      return new Arena(new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true }), true);
    } catch (cause) {
      if (cause instanceof TransportError) throw cause;
      throw new CapacityError('an arena', pages * PAGE_BYTES, 0, { cause });
    }
  }

  /** Views an arena that another thread created. */
  static attach(memory: WebAssembly.Memory): Arena {
    return new Arena(memory, false);
  }

  /** Bytes handed out so far, gaps of alignment included. Only the creator knows: 0 where the arena was attached. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Sets bytes aside for good and returns their byte offset. */
  allocate(byteLength: number, alignment: number = ALIGNMENT_BYTES): number {
    if (!this.#isCreator) {
      throw new TransportError(
        'only the thread that created an arena allocates from it; this one attached to it',
      );
    }
    if (!Number.isSafeInteger(byteLength) || byteLength < 0) {
      throw new TransportError(`an allocation takes a whole number of bytes, got ${byteLength}`);
    }
    if (!Number.isInteger(Math.log2(alignment)) || alignment < 1 || alignment > PAGE_BYTES) {
      throw new TransportError(`an alignment is a power of two up to ${PAGE_BYTES} bytes, got ${alignment}`);
    }
    const byteOffset = alignUp(this.#usedBytes, alignment);
    const end = byteOffset + byteLength;
    if (end > this.buffer.byteLength) {
      const availableBytes = Math.max(0, this.buffer.byteLength - byteOffset);
      throw new CapacityError('an allocation from the arena', byteLength, availableBytes);
    }
    this.#usedBytes = end;
    return byteOffset;
  }
}
