import { afterEach, describe, expect, it, vi } from 'vitest';
import { AbortReason, BELL_INDEX } from '#internal/protocol/control.js';
import { AbortedError, ControlBlock, TransportError, Waiter } from '#internal/transport/index.js';
import { endPeers, makeGate, type Peer, reached, startPeer } from './helpers.js';

const peers: Peer<unknown>[] = [];
afterEach(() => {
  vi.restoreAllMocks();
  return endPeers(peers.splice(0));
});

/** Longer than any test may take: a wait that ends by it has missed its wake-up. */
const NEVER_MS = 1e6;

describe('a control block', () => {
  it('is the same words to everybody who attaches', () => {
    const control = ControlBlock.create(3);
    const attached = ControlBlock.attach(control.buffer);
    expect(attached.workerCount).toBe(3);
    attached.beat(2);
    attached.beat(2);
    attached.pause();
    expect([0, 1, 2].map(worker => control.heartbeat(worker))).toEqual([0, 0, 2]);
    expect(control.isPaused).toBe(true);
    expect(() => ControlBlock.attach(new SharedArrayBuffer(100))).toThrow(TransportError);
  });

  it('keeps the reason of the first abort until it is cleared', () => {
    const control = ControlBlock.create(0);
    control.throwIfAborted('test');
    expect(control.abort(AbortReason.stalled)).toBe(true);
    expect(control.abort(AbortReason.cancelled)).toBe(false);
    expect(control.abortReason).toBe(AbortReason.stalled);
    expect(() => control.throwIfAborted('test')).toThrow(AbortedError);
    control.pause();
    control.setIdleExpected(true);
    control.clear();
    expect([control.isAborted, control.isPaused, control.isIdleExpected]).toEqual([false, false, false]);
  });

  it('lets exactly one of several threads be the first to abort', async () => {
    const threadCount = 4;
    const control = ControlBlock.create(0);
    const gateBuffer = makeGate().buffer;
    const reasons = Object.values(AbortReason);
    const aborting = reasons.map(reason =>
      startPeer<boolean>('abort', { controlBuffer: control.buffer, gateBuffer, threadCount, reason }),
    );
    peers.push(...aborting);
    const wereFirst = await Promise.all(aborting.map(peer => peer.value));
    expect(wereFirst.filter(isFirst => isFirst)).toHaveLength(1);
    expect(control.abortReason).toBe(reasons[wereFirst.indexOf(true)]);
  });

  it('has one first even if another thread aborts between any two steps', () => {
    const control = ControlBlock.create(0);
    const other = ControlBlock.attach(control.buffer);
    const wereFirst: boolean[] = [];
    for (const step of ['load', 'compareExchange'] as const) {
      const original = Atomics[step] as (...operands: unknown[]) => number;
      vi.spyOn(Atomics, step).mockImplementation(((...operands: unknown[]) => {
        const found = original(...operands);
        vi.restoreAllMocks();
        wereFirst.push(other.abort(AbortReason.stalled));
        return found;
      }) as never);
    }
    wereFirst.push(control.abort(AbortReason.failed));
    expect(wereFirst).toEqual([false, true]);
    expect(control.abortReason).toBe(AbortReason.failed);
  });

  it('holds a worker at its service point until resumed', async () => {
    const control = ControlBlock.create(1);
    const gate = makeGate();
    control.pause();
    const peer = startPeer<string>('servicePoint', {
      controlBuffer: control.buffer,
      gateBuffer: gate.buffer,
    });
    peers.push(peer);
    await reached(gate, 1, 1, peer);
    expect(Atomics.load(gate, 2)).toBe(0);
    control.resume();
    expect(await peer.value).toBe('resumed');
  });
});

describe('the bell', () => {
  it('wakes a waiting main thread', async () => {
    const control = ControlBlock.create(0);
    const seen = control.bell;
    const next = control.nextBell(seen, NEVER_MS);
    control.ring();
    expect(await next).toBe(seen + 1);
  });

  it('is not missed when it rang between the look and the wait', async () => {
    const control = ControlBlock.create(0);
    const seen = control.bell;
    control.ring();
    control.ring();
    expect(await control.nextBell(seen, NEVER_MS)).toBe(seen + 2);
  });

  it('gives up after the timeout with an unchanged count', async () => {
    const control = ControlBlock.create(0);
    expect(await control.nextBell(control.bell, 1)).toBe(0);
  });

  it('rings for an abort', async () => {
    const control = ControlBlock.create(0);
    const next = control.nextBell(control.bell, NEVER_MS);
    control.abort(AbortReason.failed);
    await next;
    expect(control.isAborted).toBe(true);
  });

  it('counts on through the end of 32 bits', async () => {
    const control = ControlBlock.create(0);
    control.words[BELL_INDEX] = 2 ** 31 - 1;
    const next = control.nextBell(2 ** 31 - 1, NEVER_MS);
    control.ring();
    expect(await next).toBe(-(2 ** 31));
  });

  it('wakes several waiters', async () => {
    const control = ControlBlock.create(0);
    const waits = [control.nextBell(0, NEVER_MS), control.nextBell(0, NEVER_MS)];
    control.ring();
    expect(await Promise.all(waits)).toEqual([1, 1]);
  });
});

describe('a pause', () => {
  it('is ended by an abort too', () => {
    const control = ControlBlock.create(0);
    control.pause();
    control.abort(AbortReason.cancelled);
    expect(() => new Waiter(control).waitWhilePaused()).toThrow(AbortedError);
  });
});
