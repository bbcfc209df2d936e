import { afterEach, describe, expect, it } from 'vitest';
import { GENERATION_INDEX } from '#internal/protocol/collective.js';
import { AbortReason } from '#internal/protocol/control.js';
import {
  AbortedError,
  Arena,
  ControlBlock,
  collectiveBytes,
  layOutCollective,
  resetCollective,
  SharedMemoryCollective,
  TransportError,
  Waiter,
} from '#internal/transport/index.js';
import { contribution } from './fixtures/contents.mjs';
import { asleepOn, endPeers, makeGate, type Peer, startPeer } from './helpers.js';

interface Operation {
  readonly kind: 'sum' | 'broadcast';
  readonly seed: number;
  readonly lengths: readonly number[];
  readonly root: number;
}

const peers: Peer<unknown>[] = [];
afterEach(() => endPeers(peers.splice(0)));

const BLOCK_LENGTH = 64;

function setUp(size: number) {
  const arena = Arena.create(collectiveBytes(size, 4 * BLOCK_LENGTH));
  const layout = layOutCollective(arena, size, 4 * BLOCK_LENGTH);
  const control = ControlBlock.create(size);
  const startMember = (rank: number, operations: readonly Operation[]) => {
    const peer = startPeer<Float32Array[]>('collective', {
      memory: arena.memory,
      controlBuffer: control.buffer,
      gateBuffer: makeGate().buffer,
      waiterOptions: { sliceMs: 1e6, stallTimeoutMs: 20_000 },
      layout,
      rank,
      operations,
    });
    peers.push(peer);
    return peer;
  };
  return { arena, layout, control, startMember };
}

/** Summed one member after another, rounded each time, as the collective promises. */
function expectedSum({ seed, lengths }: Operation): Float32Array {
  const sum = contribution(seed, 0, lengths[0]!);
  for (let rank = 1; rank < lengths.length; rank++) {
    contribution(seed, rank, lengths[rank]!).forEach((value, i) => {
      sum[i] = sum[i]! + value;
    });
  }
  return sum;
}

describe('a shared-memory collective', () => {
  it.each([2, 3])('of %d threads sums and broadcasts, the same bits for every member', async size => {
    const { startMember } = setUp(size);
    const lengths = [0, 1, 15, 63, 64, 65, 200, 1000];
    const operations = Array.from({ length: 60 }, (_, seed): Operation => {
      const length = lengths[seed % lengths.length]!;
      const kind = seed % 3 === 1 ? 'broadcast' : 'sum';
      return { kind, seed, lengths: new Array(size).fill(length), root: seed % size };
    });
    const members = Array.from({ length: size }, (_, rank) => startMember(rank, operations));
    const results = await Promise.all(members.map(member => member.value));
    operations.forEach((operation, index) => {
      const { kind, seed, lengths, root } = operation;
      const expected = kind === 'sum' ? expectedSum(operation) : contribution(seed, root, lengths[root]!);
      for (const result of results) expect(result[index]).toEqual(expected);
    });
  });

  it('of one member changes nothing', () => {
    const { arena, layout, control } = setUp(1);
    const member = new SharedMemoryCollective(arena, layout, 0, new Waiter(control));
    const data = contribution(1, 0, 150);
    member.allReduceSum(data);
    member.broadcast(data, 0);
    expect(data).toEqual(contribution(1, 0, 150));
  });

  it('refuses members that bring different lengths, on every member', async () => {
    const { startMember } = setUp(2);
    const operation: Operation = { kind: 'sum', seed: 1, lengths: [10, 200], root: 0 };
    const members = [startMember(0, [operation]), startMember(1, [operation])];
    for (const member of members) await expect(member.value).rejects.toThrow(/same number of elements/);
  });

  it('stops a member that waits for the others when the run is aborted, and works again after a reset', async () => {
    const { arena, layout, control, startMember } = setUp(2);
    const operation: Operation = { kind: 'sum', seed: 5, lengths: [10, 10], root: 0 };
    const lonely = startMember(0, [operation]);
    const words = new Int32Array(arena.buffer, layout.wordsByteOffset);
    await asleepOn(words, GENERATION_INDEX);
    control.abort(AbortReason.failed);
    // Its slice is endless: the wake-up stands for the end of one.
    Atomics.notify(words, GENERATION_INDEX);
    await expect(lonely.value).rejects.toMatchObject({ name: 'AbortedError' });
    control.clear();
    resetCollective(arena, layout);
    const members = [startMember(0, [operation]), startMember(1, [operation])];
    for (const member of members) expect((await member.value)[0]).toEqual(expectedSum(operation));
  });

  it('does not begin when the run is aborted, has no such rank or root, or is closed', () => {
    const { arena, layout, control } = setUp(1);
    const waiter = new Waiter(control);
    expect(() => new SharedMemoryCollective(arena, layout, 1, waiter)).toThrow(TransportError);
    const member = new SharedMemoryCollective(arena, layout, 0, waiter);
    expect(() => member.broadcast(new Float32Array(1), 1)).toThrow(TransportError);
    control.abort(AbortReason.cancelled);
    expect(() => member.allReduceSum(new Float32Array(1))).toThrow(AbortedError);
    control.clear();
    member.close();
    expect(() => member.allReduceSum(new Float32Array(1))).toThrow(/was closed/);
  });
});
