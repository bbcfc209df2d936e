/** Where a channel lies in an arena: sizes, allocation and first contents. Plain data comes out of it. */
import { ALIGNMENT_BYTES, alignUp } from '../protocol/alignment.js';
import { type ChannelEnds, type ChannelLayout, channelId } from '../protocol/channel.js';
import { MAX_SLOT_COUNT, ringWordCount } from '../protocol/ring.js';
import type { Arena } from './arena.js';
import { TransportError } from './errors.js';
import { SlotRing } from './ring.js';

/** The two rings of a channel, as both of its ends view them. */
export interface ChannelRings {
  /** Sender pushes, receiver pops. */
  readonly filled: SlotRing;
  /** Receiver pushes, sender pops. */
  readonly free: SlotRing;
}

function ringBytes(slotCount: number): number {
  return ringWordCount(slotCount) * Int32Array.BYTES_PER_ELEMENT;
}

/** What `layOutChannel` takes from the arena. Every part is a multiple of 64 bytes, so sums of this are exact. */
export function channelBytes(slotCount: number, slotBytes: number): number {
  return 2 * ringBytes(slotCount) + slotCount * alignUp(slotBytes);
}

/** Allocates a channel and puts all of its slots into the free ring. */
export function layOutChannel(
  arena: Arena,
  ends: ChannelEnds,
  slotCount: number,
  slotBytes: number,
): ChannelLayout {
  const id = channelId(ends);
  if (!Number.isInteger(slotCount) || slotCount < 1 || slotCount > MAX_SLOT_COUNT) {
    throw new TransportError(`channel ${id} takes 1 to ${MAX_SLOT_COUNT} slots, got ${slotCount}`);
  }
  if (!Number.isSafeInteger(slotBytes) || slotBytes < 1) {
    throw new TransportError(
      `a slot of channel ${id} takes a whole number of bytes above 0, got ${slotBytes}`,
    );
  }
  const layout: ChannelLayout = {
    from: ends.from,
    to: ends.to,
    pass: ends.pass,
    id,
    slotCount,
    slotBytes: alignUp(slotBytes),
    ringsByteOffset: arena.allocate(2 * ringBytes(slotCount), ALIGNMENT_BYTES),
    slotsByteOffset: arena.allocate(slotCount * alignUp(slotBytes), ALIGNMENT_BYTES),
  };
  resetChannel(arena, layout);
  return layout;
}

/**
 * Empties a channel: all slots free, in order. For a fresh channel, and for one whose run was aborted, once neither
 * end uses it any more. `startSequence` lets tests begin close to where sequences wrap.
 */
export function resetChannel(arena: Arena, layout: ChannelLayout, startSequence = 0): void {
  const { filled, free } = viewRings(arena, layout);
  filled.reset([], startSequence);
  free.reset(
    Array.from({ length: layout.slotCount }, (_, slot) => slot),
    startSequence,
  );
}

export function viewRings(arena: Arena, layout: ChannelLayout): ChannelRings {
  const { slotCount, ringsByteOffset } = layout;
  return {
    filled: new SlotRing(arena.buffer, ringsByteOffset, slotCount),
    free: new SlotRing(arena.buffer, ringsByteOffset + ringBytes(slotCount), slotCount),
  };
}
