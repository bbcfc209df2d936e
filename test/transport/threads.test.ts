/** Channels between real threads: order, integrity, back-pressure, wake-ups and stops. */
import { afterEach, describe, expect, it } from 'vitest';
import { AbortReason } from '#internal/protocol/control.js';
import {
  Arena,
  ControlBlock,
  channelBytes,
  layOutChannel,
  MessageWriter,
  messageTag,
  SharedMemoryLinks,
  Waiter,
} from '#internal/transport/index.js';
import {
  asleepOn,
  endPeers,
  makeChannel,
  makeGate,
  type Peer,
  type PeerError,
  reached,
  START_SEQUENCES,
  startPeer,
  WRITE_SEQUENCE_INDEX,
} from './helpers.js';

const peers: Peer<unknown>[] = [];
afterEach(() => endPeers(peers.splice(0)));

function start<T>(task: string, parameters: Record<string, unknown>): Peer<T> {
  const peer = startPeer<T>(task, parameters);
  peers.push(peer);
  return peer;
}

/** No slice ends by itself while a test runs, so only a wake-up ends a wait; a lost one shows as a stall. */
const WITHOUT_RESCUE = { sliceMs: 1e6, stallTimeoutMs: 20_000 };

describe('two threads', () => {
  const cases = START_SEQUENCES.flatMap((startSequence, i) => [
    { seed: 10 * i + 1, slotCount: 1, holdCount: 0, spinCount: 0, startSequence },
    { seed: 10 * i + 2, slotCount: 3, holdCount: 2, spinCount: 200, startSequence },
    { seed: 10 * i + 3, slotCount: 8, holdCount: 7, spinCount: 0, startSequence },
  ]);

  it.each(cases)(
    'exchange random messages at random speeds, undamaged and in order: %o',
    async ({ seed, slotCount, holdCount, spinCount, startSequence }) => {
      const { arena, layout } = makeChannel(slotCount, 4096, { from: 0, to: 1 }, startSequence);
      const shared = {
        memory: arena.memory,
        controlBuffer: ControlBlock.create(2).buffer,
        gateBuffer: makeGate().buffer,
        waiterOptions: { spinCount, ...WITHOUT_RESCUE },
        linkOptions: { poison: true },
        layout,
        seed,
        count: 1500,
      };
      const sender = start<number>('send', shared);
      const receiver = start<number>('receive', { ...shared, holdCount });
      expect(await Promise.all([sender.value, receiver.value])).toEqual([1500, 1500]);
    },
  );

  it.each([0, 50])('lose no wake-up in 20,000 round trips with %d spins', async spinCount => {
    const arena = Arena.create(2 * channelBytes(1, 64));
    const there = layOutChannel(arena, { from: 0, to: 1, pass: 'forward' }, 1, 64);
    const back = layOutChannel(arena, { from: 1, to: 0, pass: 'backward' }, 1, 64);
    const shared = {
      memory: arena.memory,
      controlBuffer: ControlBlock.create(2).buffer,
      gateBuffer: makeGate().buffer,
      waiterOptions: { spinCount, ...WITHOUT_RESCUE },
      count: 20_000,
    };
    const caller = start<number>('call', { ...shared, outgoing: there, incoming: back });
    const echo = start<number>('echo', { ...shared, incoming: there, outgoing: back });
    expect(await Promise.all([caller.value, echo.value])).toEqual([20_000, 20_000]);
  });
});

describe('back-pressure', () => {
  it('holds a sender exactly when no slot is free, and lets it go on slot by slot', async () => {
    const slotCount = 3;
    const { arena, layout, freeWords } = makeChannel(slotCount, 64);
    const control = ControlBlock.create(1);
    const gate = makeGate();
    const consumer = new SharedMemoryLinks(arena, new Waiter(control)).openReceiver(layout);
    const sender = start('flood', {
      memory: arena.memory,
      controlBuffer: control.buffer,
      gateBuffer: gate.buffer,
      waiterOptions: WITHOUT_RESCUE,
      layout,
    });
    for (let released = 0; released < 10; released++) {
      await reached(gate, 1, slotCount + released, sender);
      await asleepOn(freeWords, WRITE_SEQUENCE_INDEX);
      expect(Atomics.load(gate, 1)).toBe(slotCount + released);
      consumer.release(consumer.receive());
    }
    await reached(gate, 1, slotCount + 10, sender);
    await asleepOn(freeWords, WRITE_SEQUENCE_INDEX);
    // Its slice never ends, so a slot given back has to wake it once more: that one it may claim, another it may not.
    const slot = consumer.receive();
    control.abort(AbortReason.cancelled);
    consumer.release(slot);
    await expect(sender.value).rejects.toMatchObject({ name: 'AbortedError' });
  });
});

describe('a stop', () => {
  const cases = [
    { inner: 'flood', waitsFor: 'claim a slot of F0>1' },
    { inner: 'drain', waitsFor: 'receive on F0>1' },
  ] as const;

  function block(inner: 'flood' | 'drain', waiterOptions: Record<string, unknown>) {
    const { arena, layout, freeWords, filledWords } = makeChannel(2, 64);
    const control = ControlBlock.create(1);
    const gate = makeGate();
    const peer = start<{ error: PeerError; atMs: number }>('stopped', {
      inner,
      memory: arena.memory,
      controlBuffer: control.buffer,
      gateBuffer: gate.buffer,
      waiterOptions,
      layout,
    });
    return { control, peer, words: inner === 'flood' ? freeWords : filledWords };
  }

  it.each(cases)('reaches a thread blocked in $inner', async ({ inner, waitsFor }) => {
    const { control, peer, words } = block(inner, {});
    await asleepOn(words, WRITE_SEQUENCE_INDEX);
    const abortedAtMs = performance.timeOrigin + performance.now();
    control.abort(AbortReason.failed);
    const { error, atMs } = await peer.value;
    expect(error).toMatchObject({ name: 'AbortedError', reason: AbortReason.failed, what: waitsFor });
    // The bound is 100 ms on a free core; a loaded test machine gets the second that the whole run is allowed.
    expect(atMs - abortedAtMs).toBeLessThan(1000);
  });

  it.each(cases)(
    'comes by itself when $inner waits longer than the stall timeout',
    async ({ inner, waitsFor }) => {
      const { peer } = block(inner, { stallTimeoutMs: 20 });
      const { error } = await peer.value;
      expect(error).toMatchObject({ name: 'StallError', what: waitsFor });
      expect(error.waitedMs).toBeGreaterThanOrEqual(20);
    },
  );

  it('leaves a blocked worker’s heart beating', async () => {
    const { control, peer, words } = block('drain', { worker: 0 });
    await asleepOn(words, WRITE_SEQUENCE_INDEX);
    const before = control.heartbeat(0);
    await asleepOn(words, WRITE_SEQUENCE_INDEX);
    await asleepOn(words, WRITE_SEQUENCE_INDEX);
    expect(control.heartbeat(0)).toBeGreaterThan(before);
    control.abort(AbortReason.cancelled);
    await peer.value;
  });
});

describe('the driver', () => {
  it('feeds and drains a worker by try forms and bell alone, and misses no ring', async () => {
    const count = 3000;
    const arena = Arena.create(2 * channelBytes(2, 64));
    const feed = layOutChannel(arena, { from: 'driver', to: 0, pass: 'forward' }, 2, 64);
    const results = layOutChannel(arena, { from: 0, to: 'driver', pass: 'forward' }, 2, 64);
    const control = ControlBlock.create(1);
    const links = new SharedMemoryLinks(arena, new Waiter(control), { poison: true });
    const sender = links.openSender(feed);
    const receiver = links.openReceiver(results);
    const worker = start<number>('echo', {
      memory: arena.memory,
      controlBuffer: control.buffer,
      gateBuffer: makeGate().buffer,
      waiterOptions: WITHOUT_RESCUE,
      linkOptions: { poison: true },
      incoming: feed,
      outgoing: results,
      count,
    });
    let sent = 0;
    let received = 0;
    while (received < count) {
      const seen = control.bell;
      for (let slot = sent < count ? sender.tryClaim() : undefined; slot !== undefined; ) {
        new MessageWriter(sender.slot(slot)).begin(0, sent++);
        sender.publish(slot);
        slot = sent < count ? sender.tryClaim() : undefined;
      }
      for (let slot = receiver.tryReceive(); slot !== undefined; slot = receiver.tryReceive()) {
        expect(messageTag(receiver.slot(slot))).toBe(received++);
        receiver.release(slot);
      }
      // Nothing is left to do unless the bell rings; a ring that got lost would show as an unchanged count.
      if (received < count) expect(await control.nextBell(seen, 20_000)).not.toBe(seen);
    }
    expect(await worker.value).toBe(count);
  });
});
