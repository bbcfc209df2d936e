/**
 * A link through shared memory: a pool of slots and two rings of slot numbers.
 *
 *                        filled:  publish ──▶ │ 2 │ 0 │ ──▶ receive
 *     sending stage                                                    receiving stage
 *                        free:      claim ◀── │ 3 │ 1 │ ◀── release
 *
 *     slots   │ 0 filled │ 1 free │ 2 filled │ 3 free │ 4 held by the receiver │ 5 claimed by the sender │
 *
 * Every slot is in exactly one of four places: free ring, sender, filled ring, receiver.
 *     the sender must wait     when the free ring is empty     (all slots filled, claimed or still held)
 *     the receiver must wait   when the filled ring is empty
 * Both rings have an entry for every slot, so pushing never waits, and since numbers travel rather than
 * positions, slots come back in whatever order the receiver is done with them.
 *
 * This file owns the hand-over of slots. What is written into them is `message.ts`; how to wait is `waiter.ts`.
 */

import type { ChannelLayout } from '../protocol/channel.js';
import { AbortReason } from '../protocol/control.js';
import type { Arena } from './arena.js';
import { TransportError } from './errors.js';
import { type ChannelRings, viewRings } from './layout.js';
import type { Links, ReceiveLink, SendLink, SlotView } from './link.js';
import type { Waiter } from './waiter.js';

/** Four of them make a NaN: whatever is computed from a slot that was given back shows it. */
export const POISON_BYTE = 0xff;

export interface RingChannelOptions {
  /** Refuse to publish or release a slot that this end does not hold. Default false. */
  readonly checked?: boolean;
  /** Fill every released slot with `POISON_BYTE`; implies `checked`. For tests: it writes whole slots. */
  readonly poison?: boolean;
  /** Wake the driver when a slot of its is released. Default true: it may wait for one. */
  readonly ringsOnRelease?: boolean;
}

/** What both ends have in common: the memory of the slots, and in checked mode which of them are held. */
abstract class ChannelEnd {
  readonly id: string;
  readonly slotBytes: number;
  protected readonly rings: ChannelRings;
  protected readonly waiter: Waiter;
  readonly #held: Uint8Array | undefined;
  #slots: readonly SlotView[];

  constructor(arena: Arena, layout: ChannelLayout, waiter: Waiter, options: RingChannelOptions) {
    this.id = layout.id;
    this.slotBytes = layout.slotBytes;
    this.waiter = waiter;
    this.rings = viewRings(arena, layout);
    this.#held = options.checked || options.poison ? new Uint8Array(layout.slotCount) : undefined;
    this.#slots = Array.from({ length: layout.slotCount }, (_, slot) => {
      const byteOffset = layout.slotsByteOffset + slot * layout.slotBytes;
      const bytes = new Uint8Array(arena.buffer, byteOffset, layout.slotBytes);
      const words = new Int32Array(arena.buffer, byteOffset, layout.slotBytes / Int32Array.BYTES_PER_ELEMENT);
      return { buffer: arena.buffer, byteOffset, byteLength: layout.slotBytes, bytes, words };
    });
  }

  get isPeerLost(): boolean {
    return this.waiter.control.abortReason === AbortReason.lost;
  }

  slot(slot: number): SlotView {
    const view = this.#slots[slot];
    if (view === undefined) {
      this.throwIfClosed();
      throw new TransportError(`channel ${this.id} has slots 0 to ${this.#slots.length - 1}, got ${slot}`);
    }
    return view;
  }

  close(): void {
    this.#slots = [];
  }

  protected throwIfClosed(): void {
    if (this.#slots.length === 0) throw new TransportError(`this end of channel ${this.id} was closed`);
  }

  protected taken(slot: number): number {
    if (this.#held !== undefined) this.#held[slot] = 1;
    return slot;
  }

  protected givenUp(slot: number, verb: string, takingVerb: string): void {
    this.slot(slot);
    if (this.#held === undefined) return;
    if (this.#held[slot] !== 1) {
      throw new TransportError(
        `${verb} of slot ${slot} on channel ${this.id}, which this end does not hold: ` +
          `every ${takingVerb} allows one ${verb}`,
      );
    }
    this.#held[slot] = 0;
  }
}

export class ChannelProducer extends ChannelEnd implements SendLink {
  readonly #what: string;
  readonly #ringsBell: boolean;

  constructor(arena: Arena, layout: ChannelLayout, waiter: Waiter, options: RingChannelOptions = {}) {
    super(arena, layout, waiter, options);
    this.#what = `claim a slot of ${layout.id}`;
    this.#ringsBell = layout.to === 'driver';
  }

  claim(): number {
    this.throwIfClosed();
    // Here too and not only when waiting: a worker that never has to wait must stop as well.
    this.waiter.control.throwIfAborted(this.#what);
    return this.taken(this.rings.free.pop(this.waiter, this.#what));
  }

  tryClaim(): number | undefined {
    this.throwIfClosed();
    const slot = this.rings.free.tryPop();
    return slot === undefined ? undefined : this.taken(slot);
  }

  publish(slot: number): void {
    this.givenUp(slot, 'publish', 'claim');
    this.rings.filled.push(slot);
    if (this.#ringsBell) this.waiter.control.ring();
  }
}

export class ChannelConsumer extends ChannelEnd implements ReceiveLink {
  readonly #what: string;
  readonly #ringsBell: boolean;
  readonly #poisons: boolean;

  constructor(arena: Arena, layout: ChannelLayout, waiter: Waiter, options: RingChannelOptions = {}) {
    super(arena, layout, waiter, options);
    this.#what = `receive on ${layout.id}`;
    this.#ringsBell = layout.from === 'driver' && options.ringsOnRelease !== false;
    this.#poisons = options.poison ?? false;
  }

  receive(): number {
    this.throwIfClosed();
    this.waiter.control.throwIfAborted(this.#what);
    return this.taken(this.rings.filled.pop(this.waiter, this.#what));
  }

  tryReceive(): number | undefined {
    this.throwIfClosed();
    const slot = this.rings.filled.tryPop();
    return slot === undefined ? undefined : this.taken(slot);
  }

  release(slot: number): void {
    this.givenUp(slot, 'release', 'receive');
    // Before the push: afterwards the slot may already hold the sender's next message.
    if (this.#poisons) this.slot(slot).bytes.fill(POISON_BYTE);
    this.rings.free.push(slot);
    if (this.#ringsBell) this.waiter.control.ring();
  }
}

/** The links of one thread over one arena. */
export class SharedMemoryLinks implements Links {
  readonly #arena: Arena;
  readonly #waiter: Waiter;
  readonly #options: RingChannelOptions;

  constructor(arena: Arena, waiter: Waiter, options: RingChannelOptions = {}) {
    this.#arena = arena;
    this.#waiter = waiter;
    this.#options = options;
  }

  openSender(layout: ChannelLayout): ChannelProducer {
    return new ChannelProducer(this.#arena, layout, this.#waiter, this.#options);
  }

  openReceiver(layout: ChannelLayout): ChannelConsumer {
    return new ChannelConsumer(this.#arena, layout, this.#waiter, this.#options);
  }
}
