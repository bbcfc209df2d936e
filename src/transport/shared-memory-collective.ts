/**
 * A collective over the arena: reduce-scatter, then all-gather (Patarasuk and Yuan 2009), with a barrier between.
 *
 *     1  every member copies a block of its data into its own input area            ── barrier ──
 *     2  member r sums segment r over all inputs, in order of rank, into the result  ── barrier ──
 *     3  every member copies the result
 *
 * With the same members throughout, two barriers a block are enough. An input is written again in step 1 of the next block, by a member that has
 * passed the second barrier, which all reach only after reading the inputs. The result is written again in
 * step 2, behind the next first barrier, which all reach only after copying the result.
 */
import { ALIGNMENT_BYTES, alignUp } from '../protocol/alignment.js';
import {
  ARRIVED_INDEX,
  type CollectiveLayout,
  collectiveWordCount,
  GENERATION_INDEX,
  lengthIndex,
} from '../protocol/collective.js';
import type { Arena } from './arena.js';
import { TransportError } from './errors.js';
import type { Collective } from './link.js';
import type { Waiter } from './waiter.js';

const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT;

function wordsBytes(size: number): number {
  return collectiveWordCount(size) * Int32Array.BYTES_PER_ELEMENT;
}

/** What `layOutCollective` takes from the arena. */
export function collectiveBytes(size: number, blockBytes: number): number {
  return wordsBytes(size) + (size + 1) * alignUp(blockBytes);
}

export function layOutCollective(arena: Arena, size: number, blockBytes: number): CollectiveLayout {
  if (!Number.isInteger(size) || size < 1) {
    throw new TransportError(`a collective takes 1 or more members, got ${size}`);
  }
  if (!Number.isSafeInteger(blockBytes) || blockBytes < 1) {
    throw new TransportError(`a collective's block takes a whole number of bytes above 0, got ${blockBytes}`);
  }
  const layout = {
    size,
    blockBytes: alignUp(blockBytes),
    wordsByteOffset: arena.allocate(wordsBytes(size), ALIGNMENT_BYTES),
    blocksByteOffset: arena.allocate((size + 1) * alignUp(blockBytes), ALIGNMENT_BYTES),
  };
  resetCollective(arena, layout);
  return layout;
}

/** Forgets members that had arrived at a barrier when the run was aborted. Only while no thread uses it. */
export function resetCollective(arena: Arena, layout: CollectiveLayout): void {
  new Int32Array(arena.buffer, layout.wordsByteOffset, collectiveWordCount(layout.size)).fill(0);
}

export class SharedMemoryCollective implements Collective {
  readonly rank: number;
  readonly size: number;
  readonly #words: Int32Array;
  readonly #waiter: Waiter;
  readonly #inputs: readonly Float32Array[];
  readonly #result: Float32Array;
  readonly #blockLength: number;
  #isClosed = false;

  constructor(arena: Arena, layout: CollectiveLayout, rank: number, waiter: Waiter) {
    if (!Number.isInteger(rank) || rank < 0 || rank >= layout.size) {
      throw new TransportError(`a member's rank is 0 to ${layout.size - 1}, got ${rank}`);
    }
    this.rank = rank;
    this.size = layout.size;
    this.#waiter = waiter;
    this.#words = new Int32Array(arena.buffer, layout.wordsByteOffset, collectiveWordCount(layout.size));
    this.#blockLength = layout.blockBytes / FLOAT_BYTES;
    const area = (index: number) =>
      new Float32Array(arena.buffer, layout.blocksByteOffset + index * layout.blockBytes, this.#blockLength);
    this.#inputs = Array.from({ length: layout.size }, (_, member) => area(member));
    this.#result = area(layout.size);
  }

  allReduceSum(data: Float32Array, members = this.size): void {
    if (this.rank >= members) {
      throw new TransportError(
        `member ${this.rank} takes no part in a sum over the first ${members} members`,
      );
    }
    this.#announce(data.length);
    // At least one round, even of nothing: members must agree that there is nothing.
    for (let start = 0; start === 0 || start < data.length; start += this.#blockLength) {
      const block = data.subarray(start, start + this.#blockLength);
      this.#inputs[this.rank]!.set(block);
      this.#barrier('sum over replicas', members);
      if (start === 0) this.#checkLengths(data.length, members);
      this.#sumSegment(block.length, members);
      this.#barrier('sum over replicas', members);
      block.set(this.#result.subarray(0, block.length));
    }
  }

  broadcast(data: Float32Array, root: number): void {
    const source = this.#inputs[root];
    if (source === undefined) {
      throw new TransportError(`the root of a broadcast is 0 to ${this.size - 1}, got ${root}`);
    }
    this.#announce(data.length);
    for (let start = 0; start === 0 || start < data.length; start += this.#blockLength) {
      const block = data.subarray(start, start + this.#blockLength);
      if (this.rank === root) source.set(block);
      this.#barrier('broadcast to replicas', this.size);
      if (start === 0) this.#checkLengths(data.length, this.size);
      if (this.rank !== root) block.set(source.subarray(0, block.length));
      this.#barrier('broadcast to replicas', this.size);
    }
  }

  close(): void {
    this.#isClosed = true;
  }

  /** Segments are whole cache lines, so no two members write to one line. */
  #sumSegment(length: number, members: number): void {
    const lineLength = ALIGNMENT_BYTES / FLOAT_BYTES;
    const segmentLength = alignUp(Math.ceil(length / members), lineLength);
    const start = Math.min(length, this.rank * segmentLength);
    const end = Math.min(length, start + segmentLength);
    const sum = this.#result.subarray(start, end);
    sum.set(this.#inputs[0]!.subarray(start, end));
    for (let member = 1; member < members; member++) {
      const addend = this.#inputs[member]!.subarray(start, end);
      for (let i = 0; i < sum.length; i++) sum[i]! += addend[i]!;
    }
  }

  #announce(length: number): void {
    if (this.#isClosed) throw new TransportError('this member of the collective was closed');
    this.#waiter.control.throwIfAborted('join a collective operation');
    // A plain store: the barrier that follows publishes it.
    this.#words[lengthIndex(this.rank)] = length;
  }

  /** Members that disagree would add each other's unrelated numbers, or wait for ever for a block more. */
  #checkLengths(length: number, members: number): void {
    for (let member = 0; member < members; member++) {
      const other = this.#words[lengthIndex(member)]!;
      if (other !== length) {
        throw new TransportError(
          `members of a collective bring the same number of elements: ` +
            `member ${this.rank} has ${length}, member ${member} has ${other}`,
        );
      }
    }
  }

  /** Returns when the first `members` have called it. The count of generations is the "sense" of a sense-reversing barrier. */
  #barrier(what: string, members: number): void {
    // Pairs with the addition below, of the member that arrives last. Read before arriving: afterwards the last one
    // may have moved on already, and this member would wait for the barrier after this one.
    const generation = Atomics.load(this.#words, GENERATION_INDEX);
    // Pairs with the same addition of the other members: the last to arrive sees what all of them wrote.
    if (Atomics.add(this.#words, ARRIVED_INDEX, 1) + 1 < members) {
      this.#waiter.waitWhile(this.#words, GENERATION_INDEX, generation, what);
      return;
    }
    // Pairs with the addition to ARRIVED. Before GENERATION: a member that is let go may arrive at the next
    // barrier at once, and its arrival must not be wiped out.
    Atomics.store(this.#words, ARRIVED_INDEX, 0);
    // Pairs with the loads in `waitWhile`: passes on what all members wrote before they arrived.
    Atomics.add(this.#words, GENERATION_INDEX, 1);
    // Pairs with the wait in `waitWhile`, after the change as always.
    Atomics.notify(this.#words, GENERATION_INDEX);
  }
}
