/**
 * What a stage sees of the outside, whatever carries it: links to its neighbours and a collective with its
 * replicas. Shared memory comes first (`ring-channel.ts`, `shared-memory-collective.ts`); a link between machines
 * is another implementation of the same few methods. Nothing above this folder may know which one it has.
 */
import type { ChannelLayout } from '../protocol/channel.js';

/** One slot's memory, 64-byte aligned. The same object is handed out every time, so keeping one costs nothing. */
export interface SlotView {
  readonly buffer: SharedArrayBuffer;
  readonly byteOffset: number;
  readonly byteLength: number;
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  /** The same memory as 32-bit words: message headers are read and written through it. */
  readonly words: Int32Array<SharedArrayBuffer>;
}

interface LinkEnd {
  readonly id: string;
  readonly slotBytes: number;
  /** Whether the run was aborted because a worker or machine is gone; blocking calls throw then instead of waiting. */
  readonly isPeerLost: boolean;
  /** The memory of a slot that this end holds. */
  slot(slot: number): SlotView;
  /** Lets go of the slots' memory; every later call throws. Messages that were published stay receivable. */
  close(): void;
}

/** The end that fills slots: claim one, write into it, publish it. Publishing keeps no particular slot order. */
export interface SendLink extends LinkEnd {
  /** Takes a free slot and waits until there is one: this wait is the back-pressure of the pipeline. */
  claim(): number;
  /** Takes a free slot, or returns undefined if there is none. Never waits and never throws because of an abort. */
  tryClaim(): number | undefined;
  /** Hands a claimed slot to the receiver, after all slots published before. It must not be touched again. */
  publish(slot: number): void;
}

/** The end that reads slots: receive in the order of publication, release in any order. */
export interface ReceiveLink extends LinkEnd {
  /** Takes the oldest published slot and waits until there is one. */
  receive(): number;
  /** Takes the oldest published slot, or returns undefined. Never waits and never throws because of an abort. */
  tryReceive(): number | undefined;
  /** Gives a received slot back. No view of its memory, and no tensor that aliases it, may be used again. */
  release(slot: number): void;
}

/** Opens the ends of links by layout. One sender and one receiver a link, each used by one thread only. */
export interface Links {
  openSender(layout: ChannelLayout): SendLink;
  openReceiver(layout: ChannelLayout): ReceiveLink;
}

/**
 * Operations in which all members of a group take part. Every member calls the same operations in the same order
 * with the same lengths; each call waits for the others and throws as links do when the run is aborted.
 */
export interface Collective {
  readonly rank: number;
  readonly size: number;
  /**
   * Replaces every member's data by the element-wise sum over members. Summed in order of rank, each element
   * once: all members end with the same bits, and repeating the call gives the same bits again.
   *
   * @param members the first so many take part, and only they call it; by default all
   */
  allReduceSum(data: Float32Array, members?: number): void;
  /** Replaces every member's data by that of member `root`. */
  broadcast(data: Float32Array, root: number): void;
  close(): void;
}
