import { afterEach, describe, expect, it, vi } from 'vitest';
import { AbortReason } from '#internal/protocol/control.js';
import {
  AbortedError,
  ControlBlock,
  StallError,
  spinCountFor,
  WAIT_SLICE_MS,
  Waiter,
  type WaiterOptions,
} from '#internal/transport/index.js';

afterEach(() => vi.restoreAllMocks());

/** A waiter whose sleeps take no time: each advances the clock by its slice, then runs `onWake`. */
function makeWaiter(options: WaiterOptions, onWake: (wakeUp: number) => void = () => {}) {
  const control = ControlBlock.create(1);
  const words = new Int32Array(new SharedArrayBuffer(64));
  const slicesMs: number[] = [];
  let nowMs = 1e6;
  vi.spyOn(Atomics, 'wait').mockImplementation(((
    _words: Int32Array,
    _index: number,
    _value: number,
    ms: number,
  ) => {
    slicesMs.push(ms);
    nowMs += ms;
    onWake(slicesMs.length);
    return 'timed-out';
  }) as typeof Atomics.wait);
  const waiter = new Waiter(control, { now: () => nowMs, ...options });
  return { control, words, waiter, slicesMs };
}

describe('a waiter', () => {
  it('returns when the word has changed and then no later', () => {
    const { words, waiter, slicesMs } = makeWaiter({}, wakeUp => {
      if (wakeUp === 3) words[0] = 1;
    });
    waiter.waitWhile(words, 0, 0, 'test');
    expect(slicesMs).toHaveLength(3);
  });

  it('does not return for a wake-up without a change', () => {
    const { words, waiter } = makeWaiter({ stallTimeoutMs: 1000 });
    expect(() => waiter.waitWhile(words, 0, 0, 'test')).toThrow(StallError);
  });

  it('never sleeps longer than a slice, which keeps the time to hear an abort below 100 ms', () => {
    const { words, waiter, slicesMs } = makeWaiter({ stallTimeoutMs: 10_000 });
    expect(() => waiter.waitWhile(words, 0, 0, 'test')).toThrow(StallError);
    expect(Math.max(...slicesMs)).toBeLessThanOrEqual(WAIT_SLICE_MS);
    expect(WAIT_SLICE_MS).toBeLessThan(100);
  });

  it('throws at the first wake-up after an abort, with the reason and what it was waiting for', () => {
    const { control, words, waiter, slicesMs } = makeWaiter({}, wakeUp => {
      if (wakeUp === 2) control.abort(AbortReason.failed);
    });
    expect(() => waiter.waitWhile(words, 0, 0, 'receive on F0>1')).toThrow(
      expect.objectContaining({ name: 'AbortedError', reason: AbortReason.failed, what: 'receive on F0>1' }),
    );
    expect(slicesMs).toHaveLength(2);
  });

  it('does not sleep at all when the run is aborted already', () => {
    const { control, words, waiter, slicesMs } = makeWaiter({});
    control.abort(AbortReason.cancelled);
    expect(() => waiter.waitWhile(words, 0, 0, 'test')).toThrow(AbortedError);
    expect(slicesMs).toEqual([]);
  });

  it('stalls after exactly the timeout and says how long it waited for what', () => {
    const { words, waiter, slicesMs } = makeWaiter({ stallTimeoutMs: 120 });
    expect(() => waiter.waitWhile(words, 0, 0, 'claim a slot of B1>0')).toThrow(
      expect.objectContaining({ name: 'StallError', what: 'claim a slot of B1>0', waitedMs: 120 }),
    );
    expect(slicesMs).toEqual([50, 50, 20]);
  });

  it('counts a stall from when idleness ceased to be expected', () => {
    const { control, words, waiter, slicesMs } = makeWaiter({ stallTimeoutMs: 100 }, wakeUp => {
      if (wakeUp === 10) control.setIdleExpected(false);
    });
    control.setIdleExpected(true);
    expect(() => waiter.waitWhile(words, 0, 0, 'test')).toThrow(expect.objectContaining({ waitedMs: 100 }));
    // Nine slices forgiven; the flag is down when the tenth ends, which together with the eleventh makes 100 ms.
    expect(slicesMs).toHaveLength(11);
  });

  it('does not count a pause as a stall, and ends it when resumed', () => {
    const { control, waiter, slicesMs } = makeWaiter({ stallTimeoutMs: 100 }, wakeUp => {
      if (wakeUp === 20) control.resume();
    });
    control.pause();
    waiter.waitWhilePaused();
    expect(slicesMs).toHaveLength(20);
    waiter.waitWhilePaused();
    expect(slicesMs).toHaveLength(20);
  });

  it('beats its worker’s heart at every wake-up', () => {
    const { control, words, waiter } = makeWaiter({ worker: 0 }, wakeUp => {
      if (wakeUp === 4) words[0] = 1;
    });
    waiter.waitWhile(words, 0, 0, 'test');
    expect(control.heartbeat(0)).toBe(4);
  });

  it('finds a change while spinning without going to sleep', () => {
    const { words, waiter, slicesMs } = makeWaiter({ spinCount: 1000 });
    let looks = 0;
    const load = Atomics.load;
    vi.spyOn(Atomics, 'load').mockImplementation(((array: Int32Array, index: number) => {
      if (array === words && ++looks === 500) words[0] = 1;
      return load(array, index);
    }) as typeof Atomics.load);
    waiter.waitWhile(words, 0, 0, 'test');
    expect(looks).toBe(500);
    expect(slicesMs).toEqual([]);
  });
});

describe('the number of looks before a sleep', () => {
  it('is none where threads share cores, since it would take the core of whoever is waited for', () => {
    expect(spinCountFor(3, 2)).toBe(0);
    expect(spinCountFor(2, 2)).toBeGreaterThan(0);
    expect(spinCountFor(1, 16)).toBe(spinCountFor(2, 2));
  });
});
