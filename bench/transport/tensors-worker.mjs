// @ts-check
/** Either thread of `tensors.mjs`: the near one times, the far one answers with a tensor of its own. */
import { once } from 'node:events';
import { parentPort, workerData } from 'node:worker_threads';
import * as tf from '@tensorflow/tfjs';
import { loadBackend } from '#internal/backends/index.js';
import { readTensors, writeTensors } from '#internal/stages/messages.js';
import { openEnds } from './pair.mjs';

const parent = /** @type {import('node:worker_threads').MessagePort} */ (parentPort);
const { pair, side, elements, port } = workerData;
const PAGES = (elements * 4) / 65_536;
tf.enableProdMode();
const backend = await loadBackend('tensorflow');
// The result of an operation: what is made of numbers stays in JavaScript until it is used, and would cost nothing to read.
const own = tf.tidy(() => tf.neg(tf.randomNormal([elements])));

/** Memory like that of a ring with two slots, for what one thread does alone. */
const memory = new WebAssembly.Memory({ initial: 2 * PAGES, maximum: 2 * PAGES, shared: true });
const places = [0, elements * 4].map(offset => new Float32Array(memory.buffer, offset, elements));
const place = (/** @type {number} */ index) => /** @type {Float32Array} */ (places[index % places.length]);

/** An operation on the tensor that costs little by itself. */
const consume = (/** @type {tf.Tensor} */ tensor) => tf.dispose(tf.slice(tensor, [0], [1]));

/** @type {Record<string, (count: number, spinCount: number) => Promise<number[]> | number[]>} */
const ways = {
  memcpy(count) {
    const source = new Float32Array(elements).fill(1);
    return timed(count, index => place(index).set(source));
  },
  toSlot: count => timed(count, index => backend.toSlot(own, place(index))),
  fromSlot: count =>
    timed(count, index => {
      const tensor = backend.fromSlot(place(index), { dtype: 'float32', shape: [elements] });
      consume(tensor);
      tf.dispose(tensor);
    }),
  consume: count => timed(count, () => consume(own)),
  ring(count, spinCount) {
    const { sender, receiver } = openEnds(pair, side, spinCount);
    return exchange(
      count,
      () => {
        const slot = sender.claim();
        writeTensors(backend, sender.slot(slot), [own]);
        sender.publish(slot);
      },
      () => {
        const slot = receiver.receive();
        const [tensor] = readTensors(backend, receiver.slot(slot));
        consume(/** @type {tf.Tensor} */ (tensor));
        tf.dispose(tensor);
        receiver.release(slot);
      },
    );
  },
  clone: count => throughPort(count, false),
  transfer: count => throughPort(count, true),
};

parent.on('message', async ({ way, count, spinCount }) => {
  const tensorCount = tf.memory().numTensors;
  const samplesUs = await ways[way]?.(count, spinCount);
  if (tf.memory().numTensors !== tensorCount) throw new Error(`'${way}' has left tensors behind`);
  parent.postMessage(samplesUs);
});
parent.postMessage('ready');

/**
 * @param {number} count
 * @param {(index: number) => void} run
 */
function timed(count, run) {
  /** @type {number[]} */
  const samplesUs = [];
  for (let index = 0; index < count; index++) {
    const startMs = performance.now();
    run(index);
    samplesUs.push((performance.now() - startMs) * 1_000);
  }
  return samplesUs;
}

/**
 * @param {number} count
 * @param {() => void} sendOwn
 * @param {() => void} receiveOther
 * @returns {number[]} half of each round trip
 */
function exchange(count, sendOwn, receiveOther) {
  if (side === 'near') {
    return timed(count, () => {
      sendOwn();
      receiveOther();
    }).map(us => us / 2);
  }
  for (let i = 0; i < count; i++) {
    receiveOther();
    sendOwn();
  }
  return [];
}

/**
 * @param {number} count
 * @param {boolean} isTransferred
 * @returns {Promise<number[]>} half of each round trip
 */
async function throughPort(count, isTransferred) {
  const sendOwn = () => {
    const data = /** @type {Float32Array<ArrayBuffer>} */ (own.dataSync());
    port.postMessage(data, isTransferred ? [data.buffer] : []);
  };
  const receiveOther = async () => {
    const [data] = await once(port, 'message');
    const tensor = tf.tensor(data, [elements], 'float32');
    consume(tensor);
    tf.dispose(tensor);
  };
  /** @type {number[]} */
  const samplesUs = [];
  for (let i = 0; i < count; i++) {
    const startMs = performance.now();
    if (side === 'near') sendOwn();
    await receiveOther();
    if (side === 'far') sendOwn();
    else samplesUs.push(((performance.now() - startMs) * 1_000) / 2);
  }
  return samplesUs;
}
