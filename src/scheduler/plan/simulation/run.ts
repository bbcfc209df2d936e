/**
 * The event loop of the simulator.
 *
 * Workers run their programs in order and wait in two places only: a receive for its message, a send for a
 * free slot. This is a network of sequential processes with bounded channels (Kahn 1974; Parks 1995), so the
 * times do not depend on the order in which workers are looked at. Each worker therefore runs as far as it can, and
 * whoever frees a slot or sends a message puts the waiting side back on the list: every action is visited once, plus
 * once per wait.
 *
 * Slots: a message holds one from the start of its send to its release by the receiver. A channel has one
 * receiver, a worker that does one thing at a time, so the releases of a channel come in order of time and
 * send k waits for release k − slots, whichever message that release belonged to.
 *
 * The driver is taken to be infinitely fast: a feed lies ready as soon as there is a slot, and what is sent to
 * the driver is released at once.
 */
import { type Compiled, type CompiledChannel, type CompiledProgram, RECEIVE, WORK } from './compile.js';
import { float64Table } from './tables.js';

/** Slots per channel id; a channel that is not named has as many as it wants. */
export type SlotCounts = ReadonlyMap<string, number>;

export interface BlockedWorker {
  readonly worker: number;
  readonly miniBatch: number;
  /** Position in the worker's program. */
  readonly index: number;
  readonly channel: CompiledChannel;
  readonly waitsFor: 'message' | 'slot';
}

export interface RunResult {
  /** Start and end of every action; position `miniBatch × program.length + index`. */
  readonly start: readonly Float64Array[];
  readonly end: readonly Float64Array[];
  /** How many actions each worker got done. */
  readonly done: readonly number[];
  /** Highest number of slots in use at once, per channel. */
  readonly peakOccupancy: readonly number[];
  /** Empty if everything ran to its end. */
  readonly blocked: readonly BlockedWorker[];
}

export function run(compiled: Compiled, miniBatchCount: number, slotCounts?: SlotCounts): RunResult {
  const channels = compiled.channels.map(channel => new ChannelState(channel, miniBatchCount, slotCounts));
  const workers = compiled.programs.map((program, index) => new WorkerState(program, index, miniBatchCount));
  const runnable = workers.toReversed();
  const wake = (worker: WorkerState | undefined): void => {
    if (worker !== undefined) runnable.push(worker);
  };
  for (let worker = runnable.pop(); worker !== undefined; worker = runnable.pop())
    advance(worker, channels, wake);
  return {
    start: workers.map(worker => worker.start),
    end: workers.map(worker => worker.end),
    done: workers.map(worker => worker.position),
    peakOccupancy: channels.map(channel => channel.peakOccupancy()),
    blocked: workers.filter(worker => worker.position < worker.total).map(worker => worker.blocked(channels)),
  };
}

class WorkerState {
  readonly start: Float64Array;
  readonly end: Float64Array;
  readonly total: number;
  position = 0;
  now = 0;

  constructor(
    readonly program: CompiledProgram,
    readonly index: number,
    miniBatchCount: number,
  ) {
    this.total = program.length * miniBatchCount;
    this.start = float64Table(this.total);
    this.end = float64Table(this.total);
  }

  blocked(channels: readonly ChannelState[]): BlockedWorker {
    const { length, operation, channel } = this.program;
    const index = this.position % length;
    return {
      worker: this.index,
      miniBatch: Math.floor(this.position / length),
      index,
      channel: channels[channel[index]!]!.channel,
      waitsFor: operation[index] === RECEIVE ? 'message' : 'slot',
    };
  }
}

class ChannelState {
  readonly slotCount: number;
  readonly sendStart: Float64Array;
  readonly sendEnd: Float64Array;
  readonly releaseTime: Float64Array;
  sent = 0;
  received = 0;
  released = 0;
  waitingSender: WorkerState | undefined;
  waitingReceiver: WorkerState | undefined;

  constructor(
    readonly channel: CompiledChannel,
    miniBatchCount: number,
    slotCounts: SlotCounts | undefined,
  ) {
    this.slotCount = slotCounts?.get(channel.id) ?? Number.POSITIVE_INFINITY;
    const capacity = channel.messageCount * miniBatchCount;
    this.sendStart = float64Table(capacity);
    this.sendEnd = float64Table(capacity);
    this.releaseTime = float64Table(capacity);
  }

  /** When the next send may start as far as slots go; undefined while that is not known. */
  slotTime(): number | undefined {
    const awaited = this.sent - this.slotCount;
    if (awaited < 0) return 0;
    return awaited < this.released ? this.releaseTime[awaited]! : undefined;
  }

  send(start: number, end: number): void {
    this.sendStart[this.sent] = start;
    this.sendEnd[this.sent] = end;
    this.sent++;
  }

  /**
   * A slot that is released at the very moment at which a send starts counts as taken: the peak then suffices
   * in whichever order the two happen.
   */
  peakOccupancy(): number {
    let peak = 0;
    let released = 0;
    for (let message = 0; message < this.sent; message++) {
      while (released < this.released && this.releaseTime[released]! < this.sendStart[message]!) released++;
      peak = Math.max(peak, message + 1 - released);
    }
    return peak;
  }
}

/** Runs one worker until its programs end or it has to wait. */
function advance(
  worker: WorkerState,
  channels: readonly ChannelState[],
  wake: (worker: WorkerState | undefined) => void,
): void {
  const { length, operation, duration, channel: channelAt, releases, releaseStart } = worker.program;
  while (worker.position < worker.total) {
    const index = worker.position % length;
    const channel = operation[index] === WORK ? undefined : channels[channelAt[index]!]!;
    let start = worker.now;
    if (channel !== undefined) {
      const ready = operation[index] === RECEIVE ? readyMessage(channel, worker) : readySlot(channel, worker);
      if (ready === undefined) return;
      start = Math.max(start, ready);
    }
    const end = start + duration[index]!;
    worker.start[worker.position] = start;
    worker.end[worker.position] = end;
    worker.now = end;
    worker.position++;
    if (operation[index] === RECEIVE) {
      if (channel!.channel.from === 'driver') channel!.send(start, start);
      channel!.received++;
    } else if (channel !== undefined) {
      channel.send(start, end);
      if (channel.channel.to === 'driver') release(channel, end, wake);
      const receiver = channel.waitingReceiver;
      channel.waitingReceiver = undefined;
      wake(receiver);
    }
    for (let at = releaseStart[index]!; at < releaseStart[index + 1]!; at++)
      release(channels[releases[at]!]!, end, wake);
  }
}

function readyMessage(channel: ChannelState, worker: WorkerState): number | undefined {
  if (channel.channel.from === 'driver') return channel.slotTime();
  if (channel.received < channel.sent) return channel.sendEnd[channel.received]!;
  channel.waitingReceiver = worker;
  return undefined;
}

function readySlot(channel: ChannelState, worker: WorkerState): number | undefined {
  const ready = channel.slotTime();
  if (ready === undefined) channel.waitingSender = worker;
  return ready;
}

function release(channel: ChannelState, time: number, wake: (worker: WorkerState | undefined) => void): void {
  channel.releaseTime[channel.released++] = time;
  const sender = channel.waitingSender;
  channel.waitingSender = undefined;
  wake(sender);
}
