/** Threads and gates for the transport's tests. Gates are shared counters: tests wait for them and never for time. */
import { Worker } from 'node:worker_threads';
import type { ChannelLayout } from '#internal/protocol/channel.js';
import { ringWordCount, WRITE_SEQUENCE_INDEX } from '#internal/protocol/ring.js';
import { Arena, channelBytes, layOutChannel, resetChannel } from '#internal/transport/index.js';

export interface Peer<T> {
  readonly worker: Worker;
  /** What the task returned. Rejects with the task's error, or when the thread ends without a word. */
  readonly value: Promise<T>;
}

/** An error as a peer reports it: its name, message and fields. */
export type PeerError = Error & Record<string, unknown>;

export function startPeer<T>(task: string, parameters: Record<string, unknown>): Peer<T> {
  const worker = new Worker(new URL('./fixtures/peer.mjs', import.meta.url), {
    workerData: { task, ...parameters },
    execArgv: [],
  });
  const value = new Promise<T>((resolve, reject) => {
    worker.once('message', (report: { value: T; error?: PeerError }) => {
      if (report.error) reject(Object.assign(new Error(report.error.message), report.error));
      else resolve(report.value);
    });
    worker.once('error', reject);
    worker.once('exit', code => reject(new Error(`a peer ended with code ${code} and said nothing`)));
  });
  // Tests look at the value when they come to it; until then a rejection is not unhandled.
  value.catch(() => {});
  return { worker, value };
}

/** Ends threads that tests left behind, so that no test ends with a live worker. */
export async function endPeers(peers: readonly Peer<unknown>[]): Promise<void> {
  await Promise.all(peers.map(peer => peer.worker.terminate()));
}

/** Resolves once the gate word has come to `count`; rejects if the peer fails before. */
export async function reached(gate: Int32Array, index: number, count: number, peer: Peer<unknown>) {
  const failed = peer.value.then(() => {
    if (Atomics.load(gate, index) < count)
      throw new Error(`the peer ended before gate ${index} was at ${count}`);
  });
  failed.catch(() => {});
  for (let seen = Atomics.load(gate, index); seen < count; seen = Atomics.load(gate, index)) {
    const wait = Atomics.waitAsync(gate, index, seen);
    if (wait.async) await Promise.race([wait.value, failed]);
  }
}

/**
 * Resolves once a thread sleeps on the word: a notification says how many threads it woke. The sleeper sees that
 * nothing has changed and goes back to sleep.
 */
export async function asleepOn(words: Int32Array, index: number): Promise<void> {
  while (Atomics.notify(words, index) === 0) await new Promise(resolve => setImmediate(resolve));
}

export interface TestChannel {
  readonly arena: Arena;
  readonly layout: ChannelLayout;
  /** The word that a thread blocked in `receive` sleeps on, and the one for `claim`: index 0 of each. */
  readonly filledWords: Int32Array;
  readonly freeWords: Int32Array;
}

export function makeChannel(
  slotCount: number,
  slotBytes: number,
  ends: Pick<ChannelLayout, 'from' | 'to'> = { from: 0, to: 1 },
  startSequence = 0,
): TestChannel {
  const arena = Arena.create(channelBytes(slotCount, slotBytes));
  const layout = layOutChannel(arena, { ...ends, pass: 'forward' }, slotCount, slotBytes);
  resetChannel(arena, layout, startSequence);
  const ring = (index: number) => {
    const words = ringWordCount(slotCount);
    return new Int32Array(arena.buffer, layout.ringsByteOffset + 4 * words * index, words);
  };
  return { arena, layout, filledWords: ring(0), freeWords: ring(1) };
}

export { WRITE_SEQUENCE_INDEX };

export function makeGate(): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(64));
}

/** Starting points of 32-bit sequences: the ordinary one, and just before the sign and the word run over. */
export const START_SEQUENCES = [0, 2 ** 31 - 3, 2 ** 32 - 3];
