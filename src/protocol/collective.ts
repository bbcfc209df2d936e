/**
 * Word layout of a shared-memory collective's control part, and where its data lies.
 *
 *     line 0        ARRIVED              members that have reached the current barrier
 *     line 1        GENERATION           barriers passed so far, modulo 2³²
 *     line 2 + r    LENGTH               elements that member r brought to the current operation
 *     …             input of member 0, of member 1, …, result: `blockBytes` each
 */
import { LINE_WORDS } from './alignment.js';

export const ARRIVED_INDEX = 0;
export const GENERATION_INDEX = LINE_WORDS;

export function lengthIndex(rank: number): number {
  return (2 + rank) * LINE_WORDS;
}

export function collectiveWordCount(size: number): number {
  return lengthIndex(size);
}

/** Plain data: it crosses threads by cloning. */
export interface CollectiveLayout {
  readonly size: number;
  /** Bytes of each member's input area, a multiple of 64. Longer data goes through in several blocks. */
  readonly blockBytes: number;
  /** Byte offset of the control words inside the arena, 64-byte aligned. */
  readonly wordsByteOffset: number;
  /** Byte offset of member 0's input area inside the arena, 64-byte aligned. */
  readonly blocksByteOffset: number;
}
