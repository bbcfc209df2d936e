// @ts-check
/** Either thread of `round-trips.mjs`: the near one times, the far one answers; both compute in between. */
import { parentPort, workerData } from 'node:worker_threads';
import { openEnds, receive, send } from './pair.mjs';

const port = /** @type {import('node:worker_threads').MessagePort} */ (parentPort);
const { pair, side, elements } = workerData;
const message = new Float32Array(elements);

port.on('message', ({ count, spinCount, workUs }) => {
  const { sender, receiver } = openEnds(pair, side, spinCount);
  /** @type {number[]} */
  const samplesUs = [];
  for (let i = 0; i < count; i++) {
    if (side === 'near') {
      compute(workUs);
      const startMs = performance.now();
      send(sender, message);
      receive(receiver);
      samplesUs.push((performance.now() - startMs) * 1_000);
    } else {
      receive(receiver);
      send(sender, message);
      compute(workUs);
    }
  }
  port.postMessage(samplesUs);
});

/** @param {number} us keeps the core busy for so long */
function compute(us) {
  const endMs = performance.now() + us / 1_000;
  while (performance.now() < endMs);
}
