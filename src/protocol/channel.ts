/**
 * Channels: one ordered, one-way stream of messages between two ends.
 *
 * There is one channel for every (sender, receiver, pass) that a program uses; it carries one message a
 * micro-batch, in micro-batch order of the sender's program, or one a mini-batch. Both sides name it by the same id.
 */

import type { CommunicationAction, Pass, Peer } from './action.js';
import { PASS_LETTERS } from './action-text.js';

export interface ChannelEnds {
  readonly from: Peer;
  readonly to: Peer;
  readonly pass: Pass;
}

/** Where a channel's rings and slots lie inside the arena. Plain data: it crosses threads by cloning. */
export interface ChannelLayout extends ChannelEnds {
  readonly id: string;
  readonly slotCount: number;
  /** Size of one slot in bytes, a multiple of 64. */
  readonly slotBytes: number;
  /** Byte offset of the ring words inside the arena, 64-byte aligned. */
  readonly ringsByteOffset: number;
  /** Byte offset of slot 0 inside the arena, 64-byte aligned. */
  readonly slotsByteOffset: number;
}

/**
 * `F0>1` carries activations of stage 0 to stage 1, `B1>0` gradients back, `Fdriver>0` feeds stage 0; the letters of
 * exchanges stand in `action-text.ts`.
 */
export function channelId({ from, to, pass }: ChannelEnds): string {
  return `${PASS_LETTERS[pass]}${from}>${to}`;
}

/** The channel that a send or receive uses. */
export function channelOf(action: CommunicationAction): ChannelEnds {
  const { stage, peer, pass } = action;
  return action.kind === 'send' ? { from: stage, to: peer, pass } : { from: peer, to: stage, pass };
}
