// @ts-check
/**
 * A 1 MiB float32 tensor of one worker as a usable tensor in another, on native TensorFlow: from before it is sent until an
 * operation of the other worker has made a tensor of it. Back and forth, halved.
 *
 *     ring       `toSlot` writes into a slot, `fromSlot` makes a tensor that reads the slot in place
 *     clone      `dataSync`, `postMessage`, `tf.tensor`: what a program does by itself
 *     transfer   the same, with the buffer transferred
 *     memcpy     of as many bytes, within one thread: the floor
 *     consume    the operation alone, on a tensor that is there: part of every way
 *     toSlot     the writing half of the ring alone, and
 *     fromSlot   the reading half with its operation, within one thread
 */
import { MessageChannel } from 'node:worker_threads';
import { prepareAddon } from '#internal/backends/tensorflow/index.js';
import { createPair, nextMessage, startWorker } from './pair.mjs';
import { takeTurns } from './turns.mjs';

const ELEMENTS = 2 ** 20 / 4;
/** As between the stages of a pipeline: the next message need not wait for the last one's slot. */
const SLOTS = 2;
export const TENSOR_SPIN_COUNTS = [0, 10_000, 100_000];

/** @typedef {{ way: string, oneWayUs: number }[]} TensorResult */

/**
 * @param {{ rounds: number, count: number }} effort round trips in one turn
 * @returns {Promise<TensorResult | undefined>} nothing where TensorFlow does not load
 */
export async function measureTensors({ rounds, count }) {
  try {
    // Before any worker loads the addon: it reads its thread counts once, and enters names without a lock.
    prepareAddon();
  } catch {
    return undefined;
  }
  const pair = createPair(ELEMENTS, { thereSlots: SLOTS, backSlots: SLOTS });
  const { port1, port2 } = new MessageChannel();
  const near = startWorker('tensors-worker.mjs', { pair, side: 'near', elements: ELEMENTS, port: port1 }, [
    port1,
  ]);
  const far = startWorker('tensors-worker.mjs', { pair, side: 'far', elements: ELEMENTS, port: port2 }, [
    port2,
  ]);
  try {
    await Promise.all([nextMessage(near), nextMessage(far)]);
    const alone = (/** @type {string} */ way) => async () => {
      near.postMessage({ way, count });
      return nextMessage(near);
    };
    const together =
      (/** @type {string} */ way, spinCount = 0) =>
      async () => {
        const both = [nextMessage(near), nextMessage(far)];
        far.postMessage({ way, count, spinCount });
        near.postMessage({ way, count, spinCount });
        const [samplesUs] = await Promise.all(both);
        return samplesUs;
      };
    const rings = TENSOR_SPIN_COUNTS.map(spinCount => [ringName(spinCount), together('ring', spinCount)]);
    const medians = await takeTurns(
      {
        memcpy: alone('memcpy'),
        consume: alone('consume'),
        toSlot: alone('toSlot'),
        fromSlot: alone('fromSlot'),
        ...Object.fromEntries(rings),
        clone: together('clone'),
        transfer: together('transfer'),
      },
      rounds,
    );
    return Object.entries(medians).map(([way, oneWayUs]) => ({ way, oneWayUs }));
  } finally {
    await Promise.all([near.terminate(), far.terminate()]);
  }
}

/** @param {number} spinCount */
export function ringName(spinCount) {
  return spinCount === 0 ? 'ring' : `ring, ${spinCount} spins`;
}
