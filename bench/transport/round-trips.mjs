// @ts-check
/**
 * The round trip of a 64-byte message between two workers, for several spin counts of the `Waiter`. Both workers compute between
 * messages, and the far one is done a little before the next message comes; how much before decides what spinning can save.
 */
import { createPair, nextMessage, startWorker } from './pair.mjs';
import { takeTurns } from './turns.mjs';

export const SPIN_COUNTS = [0, 100, 1_000, 10_000];
/** Microseconds for which the far worker has been waiting when the message comes. */
export const WAITS_US = [0, 20, 500];
const FAR_WORK_US = 30;
const ELEMENTS = 64 / 4;

/** @typedef {{ spinCount: number, waitUs: number, roundTripUs: number }} RoundTripResult */

/**
 * @param {{ rounds: number, count: number }} effort round trips in one turn
 * @returns {Promise<RoundTripResult[]>}
 */
export async function measureRoundTrips({ rounds, count }) {
  const pair = createPair(ELEMENTS, { thereSlots: 1, backSlots: 1 });
  const near = startWorker('round-trips-worker.mjs', { pair, side: 'near', elements: ELEMENTS });
  const far = startWorker('round-trips-worker.mjs', { pair, side: 'far', elements: ELEMENTS });
  try {
    const cases = WAITS_US.flatMap(waitUs => SPIN_COUNTS.map(spinCount => ({ spinCount, waitUs })));
    const candidates = cases.map(({ spinCount, waitUs }, index) => {
      // Without any wait there is nothing to compute either: the bare exchange.
      const farWorkUs = waitUs === 0 ? 0 : FAR_WORK_US;
      const nearWorkUs = waitUs === 0 ? 0 : FAR_WORK_US + waitUs;
      const run = async () => {
        const both = [nextMessage(near), nextMessage(far)];
        far.postMessage({ count, spinCount, workUs: farWorkUs });
        near.postMessage({ count, spinCount, workUs: nearWorkUs });
        const [samplesUs] = await Promise.all(both);
        return samplesUs;
      };
      return [String(index), run];
    });
    const medians = await takeTurns(Object.fromEntries(candidates), rounds);
    return cases.map((own, index) => ({
      ...own,
      roundTripUs: /** @type {number} */ (medians[String(index)]),
    }));
  } finally {
    await Promise.all([near.terminate(), far.terminate()]);
  }
}
