/**
 * A ring of slot numbers between one thread that pushes and one that pops (Lamport 1983; sequences after the LMAX
 * Disruptor, 2011). It moves small integers only; what they stand for is the channel's business.
 *
 *     capacity 8, read = 5, write = 8                 read = write = 8
 *     entry     0   1   2   3   4   5   6   7         0   1   2   3   4   5   6   7
 *             │   │   │   │   │   │ 2 │ 0 │ 3 │     │   │   │   │   │   │   │   │   │
 *               ↑                   ↑                 ↑
 *               write mod 8         read mod 8        both
 *     three numbers wait; 2 is next                   empty
 *
 *     empty   write − read = 0
 *     full    write − read = capacity                 no entry is wasted: the difference tells the two apart
 *
 * Both sequences only grow and wrap at 32 bits; their difference, taken modulo 2³², stays right through the wrap.
 */
import {
  FIRST_ENTRY_INDEX,
  READ_SEQUENCE_INDEX,
  ringCapacity,
  ringWordCount,
  WRITE_SEQUENCE_INDEX,
} from '../protocol/ring.js';
import { TransportError } from './errors.js';
import type { Waiter } from './waiter.js';

export class SlotRing {
  readonly #words: Int32Array;
  readonly #capacity: number;
  readonly #mask: number;

  /** Views a ring that lies at `byteOffset`; several threads do so, one pushes and one pops. */
  constructor(buffer: SharedArrayBuffer, byteOffset: number, slotCount: number) {
    this.#words = new Int32Array(buffer, byteOffset, ringWordCount(slotCount));
    this.#capacity = ringCapacity(slotCount);
    this.#mask = this.#capacity - 1;
  }

  /** Sets the ring up with these numbers in it. Only while no other thread uses it. */
  reset(slots: readonly number[], startSequence: number): void {
    slots.forEach((slot, i) => {
      this.#words[FIRST_ENTRY_INDEX + ((startSequence + i) & this.#mask)] = slot;
    });
    // Pair with the loads in `push` and `tryPop`. Their order is of no matter here, as nobody is looking yet:
    // the message that tells another thread of the ring comes later and publishes all of it.
    Atomics.store(this.#words, READ_SEQUENCE_INDEX, startSequence | 0);
    Atomics.store(this.#words, WRITE_SEQUENCE_INDEX, (startSequence + slots.length) | 0);
  }

  /** How many numbers wait. Exact for a thread that pushes or pops, a moment's view for any other. */
  get length(): number {
    // Pair with the stores in `push` and `tryPop`. Read first: in the other order pops and pushes in between
    // could make read overtake the write seen, a negative length.
    const read = Atomics.load(this.#words, READ_SEQUENCE_INDEX);
    return (Atomics.load(this.#words, WRITE_SEQUENCE_INDEX) - read) | 0;
  }

  /** Appends a number and wakes the popping thread if it sleeps. */
  push(slot: number): void {
    // A plain load: this thread is the only one that stores it.
    const write = this.#words[WRITE_SEQUENCE_INDEX]!;
    // Pairs with the store in `tryPop`: entries before `read` have been taken out, so overwriting is safe.
    const read = Atomics.load(this.#words, READ_SEQUENCE_INDEX);
    if (((write - read) | 0) >= this.#capacity) {
      // A ring has room for every slot of its channel once, so only a number pushed twice gets here.
      throw new TransportError(`slot ${slot} was pushed into a full ring: some slot is in it twice`);
    }
    this.#words[FIRST_ENTRY_INDEX + (write & this.#mask)] = slot;
    // Pairs with the load in `tryPop`. It publishes the entry above and everything this thread wrote into the slot
    // before; stored any earlier, the popping thread could read an old entry or half a tensor.
    Atomics.store(this.#words, WRITE_SEQUENCE_INDEX, (write + 1) | 0);
    // Pairs with the wait in `pop`. After the store: woken before it, the thread would find the ring empty and
    // sleep again with nobody left to wake it.
    Atomics.notify(this.#words, WRITE_SEQUENCE_INDEX);
  }

  /** Takes the oldest number out, or returns undefined if the ring is empty. */
  tryPop(): number | undefined {
    // A plain load: this thread is the only one that stores it.
    const read = this.#words[READ_SEQUENCE_INDEX]!;
    // Pairs with the store in `push`: if it shows one more push, that push's entry and slot are visible.
    if (Atomics.load(this.#words, WRITE_SEQUENCE_INDEX) === read) return undefined;
    const slot = this.#words[FIRST_ENTRY_INDEX + (read & this.#mask)]!;
    // Pairs with the load in `push`. After the entry was read: the pushing thread may overwrite it from here on.
    Atomics.store(this.#words, READ_SEQUENCE_INDEX, (read + 1) | 0);
    return slot;
  }

  /** Takes the oldest number out and waits for one if need be. */
  pop(waiter: Waiter, what: string): number {
    for (;;) {
      const slot = this.tryPop();
      if (slot !== undefined) return slot;
      // Empty means that WRITE equals READ. If a push has come since, WRITE differs from the value expected
      // here and the wait returns at once: no wake-up can be lost between the two lines.
      waiter.waitWhile(this.#words, WRITE_SEQUENCE_INDEX, this.#words[READ_SEQUENCE_INDEX]!, what);
    }
  }
}
