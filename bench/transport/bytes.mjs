// @ts-check
/**
 * Bytes between the main thread and a worker, for sizes from 1 KiB to 64 MiB:
 *
 *     memcpy     within one thread: the floor
 *     ring       one copy into a slot, read in place
 *     clone      postMessage, which copies twice
 *     transfer   postMessage of a buffer that its sender loses and gets back
 *
 * Bandwidth with several messages on their way, latency with one that goes back and forth, halved.
 */
import { createPair, openEnds, receive, send, startWorker } from './pair.mjs';
import { takeTurns, timeTogether } from './turns.mjs';

const SIZES_KIB = [1, 16, 256, 1_024, 4_096, 16_384, 65_536];
const IN_FLIGHT_COUNT = 4;

/** @typedef {'memcpy' | 'ring' | 'clone' | 'transfer'} Way */
/** @typedef {{ kibibytes: number, perMessageUs: Record<Way, number>, oneWayUs: Record<Exclude<Way, 'memcpy'>, number> }} BytesResult */

/**
 * @param {{ rounds: number, mebibytes: number, sizesKib?: readonly number[] }} effort how much is moved in one turn
 * @returns {Promise<BytesResult[]>} by size
 */
export async function measureBytes({ rounds, mebibytes, sizesKib = SIZES_KIB }) {
  const largest = (Math.max(...sizesKib) * 1_024) / 4;
  const pair = createPair(largest, { thereSlots: IN_FLIGHT_COUNT, backSlots: 1 });
  const worker = startWorker('bytes-worker.mjs', { pair });
  const targets = Array.from({ length: IN_FLIGHT_COUNT }, () => new Float32Array(largest));
  /** @type {BytesResult[]} */
  const results = [];
  try {
    for (const kibibytes of sizesKib) {
      const source = new Float32Array((kibibytes * 1_024) / 4).fill(1);
      const own = targets.map(target => target.subarray(0, source.length));
      const pool = (/** @type {number} */ inFlight) => own.slice(0, inFlight).map(array => array.slice());
      const [several, one, severalAway, oneAway] = [
        pool(IN_FLIGHT_COUNT),
        pool(1),
        pool(IN_FLIGHT_COUNT),
        pool(1),
      ];
      // At least so many that every slot is used twice.
      const count = Math.max(
        2 * IN_FLIGHT_COUNT,
        Math.min(2_000, Math.ceil((mebibytes * 1_024) / kibibytes)),
      );
      const perMessageUs = await takeTurns(
        {
          memcpy: () => timeTogether(count, () => copyAround(own, source, count)),
          ring: () => timeTogether(count, () => throughRing(worker, pair, source, count)),
          clone: () => timeTogether(count, () => throughPort(worker, 'clone', several, count)),
          transfer: () => timeTogether(count, () => throughPort(worker, 'transfer', severalAway, count)),
        },
        rounds,
      );
      const oneWayUs = await takeTurns(
        {
          ring: () => timeTogether(2 * count, () => backAndForth(worker, pair, source, count)),
          clone: () => timeTogether(2 * count, () => throughPort(worker, 'clone', one, count)),
          transfer: () => timeTogether(2 * count, () => throughPort(worker, 'transfer', oneAway, count)),
        },
        rounds,
      );
      results.push({ kibibytes, perMessageUs, oneWayUs });
    }
    return results;
  } finally {
    await worker.terminate();
  }
}

/**
 * Into as many places in turn as the ring has slots, which caches notice.
 * @param {readonly Float32Array[]} targets
 * @param {Float32Array} source
 * @param {number} count
 */
function copyAround(targets, source, count) {
  for (let i = 0; i < count; i++) targets[i % targets.length]?.set(source);
}

/**
 * @param {import('node:worker_threads').Worker} worker
 * @param {import('./pair.mjs').Pair} pair
 * @param {Float32Array} source
 * @param {number} count
 */
function throughRing(worker, pair, source, count) {
  worker.postMessage({ task: 'swallow', count });
  const { sender, receiver } = openEnds(pair, 'near', 0);
  for (let i = 0; i < count; i++) send(sender, source);
  receive(receiver);
}

/**
 * @param {import('node:worker_threads').Worker} worker
 * @param {import('./pair.mjs').Pair} pair
 * @param {Float32Array} source
 * @param {number} count
 */
function backAndForth(worker, pair, source, count) {
  worker.postMessage({ task: 'echo', count, elementCount: source.length });
  const { sender, receiver } = openEnds(pair, 'near', 0);
  for (let i = 0; i < count; i++) {
    send(sender, source);
    receive(receiver);
  }
}

/**
 * Keeps the arrays of `pool` on their way until `count` have come back. With one on its way, a cloned array comes back whole;
 * with several, a token comes back in its place, as on the ring. Transferred arrays come back into the pool.
 * @param {import('node:worker_threads').Worker} worker
 * @param {'clone' | 'transfer'} task
 * @param {Float32Array<ArrayBuffer>[]} pool
 * @param {number} count
 * @returns {Promise<void>}
 */
function throughPort(worker, task, pool, count) {
  const isWhole = pool.length === 1;
  return new Promise(resolve => {
    let sent = 0;
    let returned = 0;
    const post = () => {
      if (sent === count) return;
      const data = /** @type {Float32Array<ArrayBuffer>} */ (pool.pop());
      sent++;
      worker.postMessage({ task, data, isWhole }, task === 'transfer' ? [data.buffer] : []);
      if (task === 'clone') pool.unshift(data);
    };
    const onReturn = (/** @type {Float32Array<ArrayBuffer>} */ data) => {
      if (task === 'transfer') pool.unshift(data);
      if (++returned === count) {
        worker.off('message', onReturn);
        resolve();
      } else post();
    };
    worker.on('message', onReturn);
    for (let started = Math.min(count, pool.length); started > 0; started--) post();
  });
}
