// @ts-check
/** The other thread of `bytes.mjs`: swallows, echoes or returns what the main thread sends. */
import { parentPort, workerData } from 'node:worker_threads';
import { openEnds, receive, send } from './pair.mjs';

const port = /** @type {import('node:worker_threads').MessagePort} */ (parentPort);
const TOKEN = new Float32Array(1);

port.on('message', ({ task, count, elementCount, data, isWhole }) => {
  if (task === 'clone') return port.postMessage(isWhole ? data : TOKEN);
  if (task === 'transfer') return port.postMessage(data, [data.buffer]);
  const { sender, receiver } = openEnds(workerData.pair, 'far', 0);
  const answer = task === 'echo' ? new Float32Array(elementCount) : TOKEN;
  for (let i = 0; i < count; i++) {
    receive(receiver);
    if (task === 'echo' || i === count - 1) send(sender, answer);
  }
});
