/** One channel in one thread: held against a model, and every rule it enforces. Threads are in `threads.test.ts`. */
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { AbortReason } from '#internal/protocol/control.js';
import { ringWordCount } from '#internal/protocol/ring.js';
import {
  AbortedError,
  type ChannelConsumer,
  type ChannelProducer,
  ControlBlock,
  channelBytes,
  MessageWriter,
  type RingChannelOptions,
  readMessage,
  resetChannel,
  SharedMemoryLinks,
  StallError,
  TransportError,
  Waiter,
} from '#internal/transport/index.js';
import { SlotRing } from '#internal/transport/ring.js';
import { makeChannel, START_SEQUENCES } from './helpers.js';

function open(
  slotCount: number,
  options: RingChannelOptions = { checked: true },
  startSequence = 0,
  slotBytes = 64,
) {
  const channel = makeChannel(slotCount, slotBytes, { from: 0, to: 1 }, startSequence);
  const control = ControlBlock.create(1);
  // A call that would have to wait stalls at once.
  const waiter = new Waiter(control, { stallTimeoutMs: 0 });
  const links = new SharedMemoryLinks(channel.arena, waiter, options);
  return {
    ...channel,
    control,
    producer: links.openSender(channel.layout),
    consumer: links.openReceiver(channel.layout),
  };
}

/** The four places a slot can be in, and what each filled or held one contains. */
class Model {
  readonly free: number[];
  readonly claimed: number[] = [];
  readonly filled: number[] = [];
  readonly held: number[] = [];
  readonly contents = new Map<number, number>();

  constructor(slotCount: number) {
    this.free = Array.from({ length: slotCount }, (_, slot) => slot);
  }
}

const operation = fc.record({
  kind: fc.constantFrom(
    'claim',
    'publish',
    'receive',
    'release',
    'abort',
    'clear',
    'blockingClaim',
    'blockingReceive',
  ),
  pick: fc.nat(),
});

function takeAny(slots: number[], pick: number): number | undefined {
  return slots.splice(pick % Math.max(1, slots.length), 1)[0];
}

describe('a ring channel', () => {
  it('does what its model does, across the wrap of its sequences', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 9 }),
        fc.constantFrom(...START_SEQUENCES),
        fc.boolean(),
        fc.array(operation, { maxLength: 200, size: 'max' }),
        (slotCount, startSequence, poison, operations) => {
          const { producer, consumer, control } = open(slotCount, { checked: true, poison }, startSequence);
          const model = new Model(slotCount);
          let written = 0;
          for (const { kind, pick } of operations) {
            step(kind, pick);
            for (const slot of [...model.filled, ...model.held]) {
              const found = producer.slot(slot).words[7];
              // A bare comparison: thousands of `expect` calls would be most of this test's time.
              if (found !== model.contents.get(slot)) expect(found).toBe(model.contents.get(slot));
            }
          }

          function step(kind: (typeof operations)[number]['kind'], pick: number): void {
            switch (kind) {
              case 'claim':
              case 'blockingClaim': {
                if (kind === 'blockingClaim' && (control.isAborted || model.free.length === 0)) {
                  const error = control.isAborted ? AbortedError : StallError;
                  expect(() => producer.claim()).toThrow(error);
                  return;
                }
                const expected = model.free.shift();
                expect(kind === 'claim' ? producer.tryClaim() : producer.claim()).toBe(expected);
                if (expected !== undefined) model.claimed.push(expected);
                return;
              }
              case 'publish': {
                const slot = takeAny(model.claimed, pick);
                if (slot === undefined) return;
                model.contents.set(slot, ++written);
                producer.slot(slot).words[7] = written;
                producer.publish(slot);
                model.filled.push(slot);
                return;
              }
              case 'receive':
              case 'blockingReceive': {
                if (kind === 'blockingReceive' && (control.isAborted || model.filled.length === 0)) {
                  const error = control.isAborted ? AbortedError : StallError;
                  expect(() => consumer.receive()).toThrow(error);
                  return;
                }
                const expected = model.filled.shift();
                expect(kind === 'receive' ? consumer.tryReceive() : consumer.receive()).toBe(expected);
                if (expected !== undefined) model.held.push(expected);
                return;
              }
              case 'release': {
                const slot = takeAny(model.held, pick);
                if (slot === undefined) return;
                consumer.release(slot);
                model.free.push(slot);
                return;
              }
              case 'abort':
                // Rarely, or most of every sequence of operations would run aborted.
                if (pick % 4 === 0) control.abort(AbortReason.cancelled);
                return;
              case 'clear':
                control.clear();
            }
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  it.each(START_SEQUENCES)(
    'moves a thousand messages through three slots, sequences starting at %d',
    start => {
      const { producer, consumer } = open(3, { checked: true }, start);
      for (let i = 0; i < 1000; i++) {
        const slot = producer.claim();
        producer.slot(slot).words[0] = i;
        producer.publish(slot);
        const received = consumer.receive();
        expect(consumer.slot(received).words[0]).toBe(i);
        consumer.release(received);
      }
    },
  );

  it('gives out every slot once and then none, until one is released', () => {
    const { producer, consumer } = open(5);
    const slots = Array.from({ length: 5 }, () => producer.claim());
    expect(new Set(slots).size).toBe(5);
    expect(producer.tryClaim()).toBeUndefined();
    producer.publish(slots[3]!);
    expect(producer.tryClaim()).toBeUndefined();
    expect(consumer.receive()).toBe(3);
    expect(producer.tryClaim()).toBeUndefined();
    consumer.release(3);
    expect(producer.tryClaim()).toBe(3);
  });

  it('has slots that are aligned, apart and of the size asked for, rounded up', () => {
    const { producer, layout, arena } = open(4, {}, 0, 100);
    const views = [0, 1, 2, 3].map(slot => producer.slot(slot));
    expect(layout.slotBytes).toBe(128);
    expect(arena.usedBytes).toBe(channelBytes(4, 100));
    views.forEach((view, slot) => {
      expect([view.byteOffset % 64, view.byteLength, view.bytes.length, view.words.length]).toEqual([
        0, 128, 128, 32,
      ]);
      view.bytes.fill(slot + 1);
    });
    views.forEach((view, slot) => {
      expect(view.bytes.every(byte => byte === slot + 1)).toBe(true);
    });
    expect(producer.tryClaim()).toBe(0);
  });

  it.each([0, -1, 1.5, 2 ** 20 + 1])('refuses %d slots', slotCount => {
    expect(() => makeChannel(slotCount, 64)).toThrow();
  });

  it('is empty again after a reset, whatever was on its way', () => {
    const { producer, consumer, arena, layout } = open(3, {});
    producer.claim();
    producer.publish(producer.claim());
    resetChannel(arena, layout);
    expect(consumer.tryReceive()).toBeUndefined();
    expect([1, 2, 3, 4].map(() => producer.tryClaim())).toEqual([0, 1, 2, undefined]);
  });
});

describe('between any two steps of a hand-over', () => {
  afterEach(() => vi.restoreAllMocks());

  /** Runs `look` right after every atomic store, where another thread could come in between. */
  function afterEveryStore(look: () => void): void {
    const store = Atomics.store;
    vi.spyOn(Atomics, 'store').mockImplementation(((words: Int32Array, index: number, value: number) => {
      const stored = store(words, index, value);
      look();
      return stored;
    }) as typeof Atomics.store);
  }

  it('the receiver finds nothing or the whole message', () => {
    const { producer, consumer } = open(3);
    const received: (number | undefined)[] = [];
    for (const slot of [producer.claim(), producer.claim()].reverse()) {
      producer.slot(slot).words[0] = 100 + slot;
      afterEveryStore(() => {
        vi.restoreAllMocks();
        received.push(consumer.tryReceive());
      });
      producer.publish(slot);
      vi.restoreAllMocks();
    }
    expect(received).toEqual([1, 0]);
    expect(received.map(slot => consumer.slot(slot!).words[0])).toEqual([101, 100]);
  });

  it('a pushed number overwrites none that is yet to be read', () => {
    const ring = new SlotRing(new SharedArrayBuffer(4 * ringWordCount(2)), 0, 2);
    ring.reset([7, 8], 0);
    expect(() => ring.push(9)).toThrow(/full ring/);
    afterEveryStore(() => {
      vi.restoreAllMocks();
      // The ring is full again with this one, in the entry that is just being given up.
      ring.push(9);
    });
    expect([ring.tryPop(), ring.length]).toEqual([7, 2]);
    expect([ring.tryPop(), ring.tryPop(), ring.tryPop(), ring.length]).toEqual([8, 9, undefined, 0]);
  });
});

describe('an aborted channel', () => {
  it('stops claim and receive even where they would not have to wait', () => {
    const { producer, consumer, control } = open(2);
    producer.publish(producer.claim());
    control.abort(AbortReason.failed);
    expect(() => producer.claim()).toThrow(AbortedError);
    expect(() => consumer.receive()).toThrow(AbortedError);
    expect(consumer.tryReceive()).toBe(0);
  });

  it('knows its peer as lost only when that was the reason', () => {
    const { producer, control } = open(1);
    expect(producer.isPeerLost).toBe(false);
    control.abort(AbortReason.cancelled);
    expect(producer.isPeerLost).toBe(false);
    control.clear();
    control.abort(AbortReason.lost);
    expect(producer.isPeerLost).toBe(true);
  });
});

describe('a checked channel', () => {
  function held(): { producer: ChannelProducer; consumer: ChannelConsumer; slot: number } {
    const { producer, consumer } = open(3);
    producer.publish(producer.claim());
    return { producer, consumer, slot: consumer.receive() };
  }

  it('refuses to release a slot twice', () => {
    const { consumer, slot } = held();
    consumer.release(slot);
    expect(() => consumer.release(slot)).toThrow(/release of slot 0 on channel F0>1.*does not hold/);
  });

  it('refuses to release a slot that was never received', () => {
    const { producer, consumer } = held();
    producer.publish(producer.claim());
    expect(() => consumer.release(1)).toThrow(TransportError);
    expect(() => consumer.release(2)).toThrow(TransportError);
  });

  it('refuses to publish a slot twice, or one that was never claimed', () => {
    const { producer } = held();
    const slot = producer.claim();
    producer.publish(slot);
    expect(() => producer.publish(slot)).toThrow(/publish of slot 1.*every claim allows one publish/);
    expect(() => producer.publish(2)).toThrow(TransportError);
  });

  it.each([-1, 3, 0.5, Number.NaN])('refuses slot number %d', slot => {
    const { consumer } = held();
    expect(() => consumer.slot(slot)).toThrow(/slots 0 to 2/);
    expect(() => consumer.release(slot)).toThrow(TransportError);
  });

  it.each(START_SEQUENCES)('notices even unchecked when a ring would hold a slot twice, at %d', start => {
    const { producer, consumer } = open(2, {}, start);
    producer.publish(producer.claim());
    const slot = consumer.receive();
    consumer.release(slot);
    expect(() => consumer.release(slot)).toThrow(/full ring/);
  });
});

describe('a poisoned channel', () => {
  function useAfterRelease(options: RingChannelOptions): number {
    const { producer, consumer } = open(2, options, 0, 128);
    const slot = producer.claim();
    const writer = new MessageWriter(producer.slot(slot));
    writer.begin(1);
    writer.entry({ dtype: 'float32', shape: [3] }).fill(1.5);
    producer.publish(slot);
    const data = readMessage(consumer.slot(consumer.receive()))[0]!.data;
    expect(Array.from(data)).toEqual([1.5, 1.5, 1.5]);
    consumer.release(slot);
    return data[1]!;
  }

  it('turns what is read after the release into NaN', () => {
    expect(useAfterRelease({ poison: true })).toBeNaN();
  });

  it('is opt-in: otherwise old data stays until it is overwritten, which is what hides such bugs', () => {
    expect(useAfterRelease({ checked: true })).toBe(1.5);
  });

  it('implies the checks', () => {
    const { consumer } = open(2, { poison: true });
    expect(() => consumer.release(0)).toThrow(/does not hold/);
  });
});

describe('a closed end', () => {
  it('refuses everything and leaves what was published to the other end', () => {
    const { producer, consumer } = open(2);
    producer.publish(producer.claim());
    const claimed = producer.claim();
    producer.close();
    for (const use of [
      () => producer.claim(),
      () => producer.tryClaim(),
      () => producer.slot(0),
      () => producer.publish(claimed),
    ]) {
      expect(use).toThrow(/was closed/);
    }
    const slot = consumer.receive();
    consumer.release(slot);
    consumer.close();
    for (const use of [() => consumer.receive(), () => consumer.tryReceive(), () => consumer.release(slot)]) {
      expect(use).toThrow(/was closed/);
    }
  });
});

describe('the driver’s bell', () => {
  it.each([
    { from: 'driver', to: 0, rings: { publish: 0, release: 1 } },
    { from: 0, to: 'driver', rings: { publish: 1, release: 0 } },
    { from: 0, to: 1, rings: { publish: 0, release: 0 } },
  ] as const)('rings on $from>$to only for what the driver waits for', ({ from, to, rings }) => {
    const { arena, layout } = makeChannel(1, 64, { from, to });
    const control = ControlBlock.create(0);
    const links = new SharedMemoryLinks(arena, new Waiter(control));
    const producer = links.openSender(layout);
    const consumer = links.openReceiver(layout);
    producer.publish(producer.claim());
    expect(control.bell).toBe(rings.publish);
    consumer.release(consumer.receive());
    expect(control.bell).toBe(rings.publish + rings.release);
  });

  it('does not ring for released slots where that is not asked for', () => {
    const { arena, layout } = makeChannel(1, 64, { from: 'driver', to: 0 });
    const control = ControlBlock.create(0);
    const feed = new SharedMemoryLinks(arena, new Waiter(control)).openSender(layout);
    const fed = new SharedMemoryLinks(arena, new Waiter(control), { ringsOnRelease: false }).openReceiver(
      layout,
    );
    feed.publish(feed.claim());
    fed.release(fed.receive());
    expect(control.bell).toBe(0);
    expect(feed.tryClaim()).toBe(0);
  });
});
