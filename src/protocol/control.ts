/**
 * Word layout of the control block: what the main thread and every worker can say to each other while the
 * workers are too busy, or too blocked, to hear a message.
 *
 *     line 0       ABORT  PAUSE  IDLE_EXPECTED     written rarely, read by everybody at every wait
 *     line 1       BELL                            written by workers whenever the main thread has something to do
 *     line 2 + w   HEARTBEAT  LAST_ACTION          written by worker w alone
 *
 * All words are Int32. Lines keep a word that changes often from slowing down readers of one that does not.
 */
import { LINE_WORDS } from './alignment.js';

/** 0 while running, then the `AbortReason` of whoever was first. */
export const ABORT_INDEX = 0;

/** 1 while workers are to stop at their next service point. */
export const PAUSE_INDEX = 1;

/** 1 while the driver has nothing to feed, so that a worker that waits is not a worker that stalls. */
export const IDLE_EXPECTED_INDEX = 2;

/** Grows, and wraps, with every ring of the bell. */
export const BELL_INDEX = LINE_WORDS;

const FIRST_WORKER_INDEX = 2 * LINE_WORDS;

/** Grows, and wraps, with every sign of life of the worker. */
export function heartbeatIndex(worker: number): number {
  return FIRST_WORKER_INDEX + worker * LINE_WORDS;
}

export function controlWordCount(workerCount: number): number {
  return FIRST_WORKER_INDEX + workerCount * LINE_WORDS;
}

/** How many workers a block of so many words was made for: the inverse of `controlWordCount`. */
export function controlWorkerCount(wordCount: number): number {
  return (wordCount - FIRST_WORKER_INDEX) / LINE_WORDS;
}

/** Why a run was stopped. Never 0, which means that it was not. */
export const AbortReason = {
  /** The user asked for it. */
  cancelled: 1,
  /** A stage threw. */
  failed: 2,
  /** Somebody waited longer than the stall timeout. */
  stalled: 3,
  /** A worker, or another machine, is gone. */
  lost: 4,
} as const;

export type AbortReason = (typeof AbortReason)[keyof typeof AbortReason];
