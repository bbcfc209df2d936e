// @ts-check
/** Two threads and the two channels between them: what every measurement of the transport runs on. */
import { Worker } from 'node:worker_threads';
import {
  Arena,
  ControlBlock,
  channelBytes,
  layOutChannel,
  MessageWriter,
  messageBytes,
  readMessage,
  SharedMemoryLinks,
  Waiter,
} from '#internal/transport/index.js';

/** Far above any wait of a measurement: the other thread is gone. */
const STALL_TIMEOUT_MS = 30_000;

/** @typedef {import('#internal/transport/index.js').SendLink} SendLink */
/** @typedef {import('#internal/transport/index.js').ReceiveLink} ReceiveLink */

/**
 * What a thread needs to open its ends; all of it crosses shared or cloned.
 * @typedef {object} Pair
 * @property {WebAssembly.Memory} memory
 * @property {SharedArrayBuffer} controlBuffer
 * @property {import('#internal/protocol/channel.js').ChannelLayout} there
 * @property {import('#internal/protocol/channel.js').ChannelLayout} back
 */

/**
 * @param {number} elementCount of the largest float32 array that is sent
 * @param {{ thereSlots: number, backSlots: number }} slots
 * @returns {Pair}
 */
export function createPair(elementCount, { thereSlots, backSlots }) {
  const slotBytes = messageBytes([{ dtype: 'float32', shape: [elementCount] }]);
  const arena = Arena.create(channelBytes(thereSlots, slotBytes) + channelBytes(backSlots, slotBytes));
  return {
    memory: arena.memory,
    controlBuffer: ControlBlock.create(2).buffer,
    there: layOutChannel(arena, { from: 0, to: 1, pass: 'forward' }, thereSlots, slotBytes),
    back: layOutChannel(arena, { from: 1, to: 0, pass: 'backward' }, backSlots, slotBytes),
  };
}

/**
 * @param {Pair} pair
 * @param {'near' | 'far'} side the near side sends `there` and receives `back`
 * @param {number} spinCount looks at the word before a thread falls asleep
 * @returns {{ sender: SendLink, receiver: ReceiveLink }}
 */
export function openEnds({ memory, controlBuffer, there, back }, side, spinCount) {
  const waiter = new Waiter(ControlBlock.attach(controlBuffer), {
    spinCount,
    stallTimeoutMs: STALL_TIMEOUT_MS,
  });
  const links = new SharedMemoryLinks(Arena.attach(memory), waiter);
  return side === 'near'
    ? { sender: links.openSender(there), receiver: links.openReceiver(back) }
    : { sender: links.openSender(back), receiver: links.openReceiver(there) };
}

/**
 * One copy, into a slot.
 * @param {SendLink} sender
 * @param {Float32Array} source
 */
export function send(sender, source) {
  const slot = sender.claim();
  const writer = new MessageWriter(sender.slot(slot));
  writer.begin(1);
  writer.entry({ dtype: 'float32', shape: [source.length] }).set(source);
  sender.publish(slot);
}

/**
 * Reads the first element in place and gives the slot back.
 * @param {ReceiveLink} receiver
 * @returns {number}
 */
export function receive(receiver) {
  const slot = receiver.receive();
  const first = /** @type {number} */ (readMessage(receiver.slot(slot))[0]?.data[0]);
  receiver.release(slot);
  return first;
}

/**
 * Starts a worker of this folder.
 * @param {string} file
 * @param {object} workerData
 * @param {import('node:worker_threads').TransferListItem[]} [transfer]
 */
export function startWorker(file, workerData, transfer = []) {
  return new Worker(new URL(file, import.meta.url), { workerData, transferList: transfer });
}

/**
 * The next message of a worker; its death is an error.
 * @param {Worker} worker
 * @returns {Promise<any>}
 */
export function nextMessage(worker) {
  return new Promise((resolve, reject) => {
    const settle = (/** @type {() => void} */ then) => {
      worker.off('message', onMessage).off('error', onError).off('exit', onExit);
      then();
    };
    const onMessage = (/** @type {any} */ message) => settle(() => resolve(message));
    const onError = (/** @type {unknown} */ error) => settle(() => reject(error));
    const onExit = (/** @type {number} */ code) =>
      settle(() => reject(new Error(`a worker ended with exit code ${code}`)));
    worker.on('message', onMessage).on('error', onError).on('exit', onExit);
  });
}
