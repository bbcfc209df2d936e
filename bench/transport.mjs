/**
 * What it costs to move bytes between two threads. Run by hand after a build: `node bench/transport.mjs`.
 *
 *     bandwidth   microseconds per message, at most four on their way: `memcpy` (in one thread, the floor), `ring`
 *                 (one copy into a slot, read in place), and `postMessage` with a structured clone or with a
 *                 transferred buffer that comes back
 *     latency     round trip of a 64-byte message between two threads that wait asleep, or spinning
 *
 * Medians of repetitions, interleaved so that a disturbance of the machine hits all of them alike.
 */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
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

const SIZES_KIB = [1, 16, 256, 1024, 4096, 16_384];
const IN_FLIGHT_COUNT = 4;
const REPETITIONS = 5;
const ROUND_TRIPS = 10_000;
const SPIN_COUNT = 10_000;

/** About 128 MiB a measurement, at most 2,000 messages. */
const messageCountOf = kibibytes => Math.min(2000, Math.ceil((128 * 1024) / kibibytes));

function openLinks({ memory, controlBuffer }, spinCount) {
  const waiter = new Waiter(ControlBlock.attach(controlBuffer), { spinCount });
  return new SharedMemoryLinks(Arena.attach(memory), waiter);
}

function send(sender, source) {
  const slot = sender.claim();
  const writer = new MessageWriter(sender.slot(slot));
  writer.begin(1);
  writer.entry({ dtype: 'float32', shape: [source.length] }).set(source);
  sender.publish(slot);
}

function receive(receiver) {
  const slot = receiver.receive();
  const first = readMessage(receiver.slot(slot))[0].data[0];
  receiver.release(slot);
  return first;
}

/** The other thread: swallows, returns, or echoes what the main thread sends. */
function runPeer() {
  const { there, back } = workerData;
  parentPort.on('message', ({ task, count, spinCount, data }) => {
    if (task === 'clone') return parentPort.postMessage(data[0]);
    if (task === 'transfer') return parentPort.postMessage(data, [data.buffer]);
    const links = openLinks(workerData, spinCount);
    const receiver = links.openReceiver(there);
    const sender = links.openSender(back);
    const answer = new Float32Array(16);
    for (let i = 0; i < count; i++) {
      answer[0] = receive(receiver);
      if (task === 'echo' || i === count - 1) send(sender, answer);
    }
  });
}

function timeMemcpy(source, count) {
  const target = new Float32Array(new SharedArrayBuffer(source.byteLength));
  for (let i = 0; i < count; i++) target.set(source);
}

function timeRing(peer, links, source, count) {
  peer.worker.postMessage({ task: 'swallow', count, spinCount: 0 });
  const sender = links.openSender(peer.there);
  for (let i = 0; i < count; i++) send(sender, source);
  receive(links.openReceiver(peer.back));
}

/** Keeps `IN_FLIGHT_COUNT` messages on their way until `count` have come back. */
function timePostMessage(peer, task, source, count) {
  const { promise, resolve } = withResolvers();
  let sent = 0;
  let returned = 0;
  const post = data => {
    sent++;
    peer.worker.postMessage({ task, data }, task === 'transfer' ? [data.buffer] : []);
  };
  const onReturn = data => {
    if (++returned === count) {
      peer.worker.off('message', onReturn);
      resolve();
    } else if (sent < count) post(task === 'transfer' ? data : source);
  };
  peer.worker.on('message', onReturn);
  while (sent < Math.min(count, IN_FLIGHT_COUNT)) post(task === 'transfer' ? source.slice() : source);
  return promise;
}

/** `Promise.withResolvers`, which Node 20 lacks. */
function withResolvers() {
  let resolve;
  const promise = new Promise(r => {
    resolve = r;
  });
  return { promise, resolve };
}

function timeRoundTrips(peer, spinCount, count) {
  peer.worker.postMessage({ task: 'echo', count, spinCount });
  const links = openLinks(peer, spinCount);
  const sender = links.openSender(peer.there);
  const receiver = links.openReceiver(peer.back);
  const small = new Float32Array(16);
  for (let i = 0; i < count; i++) {
    send(sender, small);
    receive(receiver);
  }
}

/** Runs every candidate in turn, several times; returns the median of each in microseconds per `count`. */
async function race(candidates, count) {
  const times = Object.fromEntries(Object.keys(candidates).map(name => [name, []]));
  for (let repetition = 0; repetition <= REPETITIONS; repetition++) {
    for (const [name, run] of Object.entries(candidates)) {
      const start = performance.now();
      await run();
      // The first repetition warms up.
      if (repetition > 0) times[name].push(((performance.now() - start) * 1000) / count);
    }
  }
  const median = values => values.sort((a, b) => a - b)[values.length >> 1];
  return Object.fromEntries(Object.entries(times).map(([name, values]) => [name, median(values)]));
}

async function main() {
  const slotBytes = messageBytes([{ dtype: 'float32', shape: [(Math.max(...SIZES_KIB) * 1024) / 4] }]);
  const arena = Arena.create(channelBytes(IN_FLIGHT_COUNT, slotBytes) + channelBytes(1, 128));
  const shared = {
    memory: arena.memory,
    controlBuffer: ControlBlock.create(2).buffer,
    there: layOutChannel(arena, { from: 0, to: 1, pass: 'forward' }, IN_FLIGHT_COUNT, slotBytes),
    back: layOutChannel(arena, { from: 1, to: 0, pass: 'backward' }, 1, 128),
  };
  const worker = new Worker(new URL(import.meta.url), { workerData: shared });
  const peer = { worker, ...shared };
  const links = openLinks(shared, 0);

  console.log('message       memcpy     ring    clone  transfer   (µs per message)');
  for (const kibibytes of SIZES_KIB) {
    const source = new Float32Array((kibibytes * 1024) / 4).fill(1);
    const count = messageCountOf(kibibytes);
    const medians = await race(
      {
        memcpy: () => timeMemcpy(source, count),
        ring: () => timeRing(peer, links, source, count),
        clone: () => timePostMessage(peer, 'clone', source, count),
        transfer: () => timePostMessage(peer, 'transfer', source, count),
      },
      count,
    );
    const columns = Object.values(medians).map(us => us.toFixed(1).padStart(9));
    console.log(`${String(kibibytes).padStart(6)} KiB${columns.join('')}`);
  }

  const latencies = await race(
    {
      asleep: () => timeRoundTrips(peer, 0, ROUND_TRIPS),
      spinning: () => timeRoundTrips(peer, SPIN_COUNT, ROUND_TRIPS),
    },
    ROUND_TRIPS,
  );
  console.log(
    `64-byte round trip: ${latencies.asleep.toFixed(1)} µs asleep, ${latencies.spinning.toFixed(1)} µs spinning`,
  );
  await worker.terminate();
}

if (isMainThread) await main();
else runPeer();
