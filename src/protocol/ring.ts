/**
 * Word layout of one ring of slot numbers. A channel has two, one after the other: filled slots, free slots.
 *
 *     line 0    WRITE_SEQUENCE     stored by the end that pushes
 *     line 1    READ_SEQUENCE      stored by the end that pops
 *     line 2…   entries            the slot number pushed as number s lies at entry s mod capacity
 *
 * Sequences grow by one for ever and wrap at 32 bits. The capacity is a power of two, so `sequence mod
 * capacity` runs on through the wrap; with any other capacity the entry after number 2³²−1 would not be next to it.
 */
import { alignUp, LINE_WORDS } from './alignment.js';

/** Number of pushes so far, modulo 2³². */
export const WRITE_SEQUENCE_INDEX = 0;

/** Number of pops so far, modulo 2³². */
export const READ_SEQUENCE_INDEX = LINE_WORDS;

export const FIRST_ENTRY_INDEX = 2 * LINE_WORDS;

/** Far below the 2³¹ up to which the signed difference of two sequences says which is ahead. */
export const MAX_SLOT_COUNT = 2 ** 20;

/** Entries of a ring that can hold every slot number of a channel at once. */
export function ringCapacity(slotCount: number): number {
  return 2 ** Math.ceil(Math.log2(slotCount));
}

/** Words of one ring, padded to whole lines so that the next ring starts on a line of its own. */
export function ringWordCount(slotCount: number): number {
  return alignUp(FIRST_ENTRY_INDEX + ringCapacity(slotCount), LINE_WORDS);
}
