/**
 * Turns programs into flat tables for the event loop: what each action does, to which channel, for how long,
 * and which slots its end gives back. Done once, however many mini-batches are then run.
 */

import { MillraceError } from '../../../errors.js';
import {
  type Action,
  type CommunicationAction,
  isExchange,
  type Pass,
  type Peer,
  type Program,
} from '../../../protocol/action.js';
import { PASS_LETTERS } from '../../../protocol/action-text.js';
import { type ChannelEnds, channelId, channelOf } from '../../../protocol/channel.js';
import type { ActionCost } from '../costs.js';
import { formatAction } from '../text.js';
import { isCompute, LastUses } from './last-use.js';
import { float64Table, int32Table } from './tables.js';

export const WORK = 0;
export const SEND = 1;
export const RECEIVE = 2;

export interface CompiledChannel extends ChannelEnds {
  readonly id: string;
  /** Messages per mini-batch: sends, or receives where the driver sends. */
  readonly messageCount: number;
  /** Workers at either end; undefined for the driver, and where no program has that end. */
  readonly sender: number | undefined;
  readonly receiver: number | undefined;
}

export interface CompiledProgram {
  readonly length: number;
  readonly operation: Uint8Array;
  readonly duration: Float64Array;
  /** Index of the channel that a send or receive uses. */
  readonly channel: Int32Array;
  /** Channels that get a slot back when action k ends, once per slot, stand from `releaseStart[k]` to `releaseStart[k + 1]`. */
  readonly releases: Int32Array;
  readonly releaseStart: Int32Array;
}

export interface Compiled {
  readonly programs: readonly CompiledProgram[];
  readonly channels: readonly CompiledChannel[];
}

interface OpenChannel extends ChannelEnds {
  readonly id: string;
  sends: number;
  receives: number;
  sender: number | undefined;
  receiver: number | undefined;
}

/** Takes the programs one by one, and keeps none of them. */
export function compile(programs: Iterable<Program>, cost: ActionCost): Compiled {
  const channels = new ChannelTable();
  const compiled: CompiledProgram[] = [];
  for (const program of programs) compiled.push(compileProgram(program, compiled.length, channels, cost));
  return { programs: compiled, channels: channels.close() };
}

function compileProgram(
  program: Program,
  worker: number,
  channels: ChannelTable,
  cost: ActionCost,
): CompiledProgram {
  const { length } = program;
  const operation = new Uint8Array(length);
  const duration = float64Table(length);
  const channel = int32Table(length);
  const releases = new ReleaseTable(length);
  const lastUses = new LastUses(program);
  program.forEach((action, index) => {
    duration[index] = checkedCost(action, cost);
    if (isCompute(action) || action.kind === 'step') return;
    operation[index] = action.kind === 'send' ? SEND : RECEIVE;
    const used = channels.use(action, worker);
    channel[index] = used;
    if (action.kind === 'send') return;
    if (isExchange(action)) {
      releases.add(lastUses.ofExchange(action, index), used);
      return;
    }
    for (const microBatch of action.microBatches) {
      const lastUse = lastUses.indexOf(action.stage, microBatch);
      if (lastUse !== undefined) releases.add(lastUse, used);
    }
  });
  return { length, operation, duration, channel, ...releases.close() };
}

/** Collects pairs of an action and a channel, and sorts them by action. */
class ReleaseTable {
  readonly #length: number;
  readonly #actions: number[] = [];
  readonly #channels: number[] = [];

  constructor(length: number) {
    this.#length = length;
  }

  add(action: number, channel: number): void {
    this.#actions.push(action);
    this.#channels.push(channel);
  }

  /** A counting sort: pairs of one action stay in the order in which they came. */
  close(): Pick<CompiledProgram, 'releases' | 'releaseStart'> {
    const releaseStart = int32Table(this.#length + 1);
    for (const action of this.#actions) releaseStart[action + 1]!++;
    for (let action = 0; action < this.#length; action++) releaseStart[action + 1]! += releaseStart[action]!;
    const next = releaseStart.slice();
    const releases = int32Table(this.#channels.length);
    for (const [pair, channel] of this.#channels.entries()) releases[next[this.#actions[pair]!]!++] = channel;
    return { releases, releaseStart };
  }
}

function checkedCost(action: Action, cost: ActionCost): number {
  const value = cost(action);
  if (Number.isFinite(value) && value >= 0) return value;
  throw new MillraceError(
    'MILLRACE_SCHEDULE',
    `the cost of ${formatAction(action)} must be a finite number of at least 0, got ${value}`,
  );
}

const PASSES = Object.keys(PASS_LETTERS) as readonly Pass[];
const MOST_STAGES = 2 ** 24;

/** A number rather than the channel's id: large plans ask for millions of messages, and making a text for each is most of the work. */
function keyOf(ends: ChannelEnds): number | string {
  const from = ends.from === 'driver' ? 0 : ends.from + 1;
  const to = ends.to === 'driver' ? 0 : ends.to + 1;
  if (from >= MOST_STAGES || to >= MOST_STAGES) return channelId(ends);
  return (PASSES.indexOf(ends.pass) * MOST_STAGES + from) * MOST_STAGES + to;
}

/** Gives every channel a number, in order of first use. */
class ChannelTable {
  readonly #open: OpenChannel[] = [];
  /** By what `keyOf` makes of both ends. */
  readonly #indexOf = new Map<number | string, number>();

  use(action: CommunicationAction, worker: number): number {
    const ends = channelOf(action);
    const key = keyOf(ends);
    let index = this.#indexOf.get(key);
    if (index === undefined) {
      const id = channelId(ends);
      index =
        this.#open.push({ ...ends, id, sends: 0, receives: 0, sender: undefined, receiver: undefined }) - 1;
      this.#indexOf.set(key, index);
    }
    const channel = this.#open[index]!;
    if (action.kind === 'send') {
      channel.sends++;
      channel.sender = worker;
    } else {
      channel.receives++;
      channel.receiver = worker;
    }
    return index;
  }

  close(): readonly CompiledChannel[] {
    const isDriver = (peer: Peer): boolean => peer === 'driver';
    return this.#open.map(({ sends, receives, ...channel }) => ({
      ...channel,
      messageCount: isDriver(channel.from) ? receives : sends,
    }));
  }
}
