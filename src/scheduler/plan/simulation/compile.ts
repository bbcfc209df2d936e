/**
 * Turns programs into flat tables for the event loop: what each action does, to which channel, for how long,
 * and which slots its end gives back. Done once, however many mini-batches are then run.
 */

import { MillraceError } from '../../../errors.js';
import { type Action, isExchange, type Peer, type Program } from '../../../protocol/action.js';
import { type ChannelEnds, channelId, channelOf } from '../../../protocol/channel.js';
import type { ActionCost } from '../costs.js';
import { formatAction } from '../text.js';
import { isCompute, LastUses } from './last-use.js';

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
  /** Channels that get a slot back when the action ends, once per slot. */
  readonly releases: readonly (readonly number[] | undefined)[];
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

export function compile(programs: readonly Program[], cost: ActionCost): Compiled {
  const channels = new ChannelTable();
  const compiled = programs.map((program, worker) => compileProgram(program, worker, channels, cost));
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
  const duration = new Float64Array(length);
  const channel = new Int32Array(length);
  const releases: (number[] | undefined)[] = new Array(length);
  const lastUses = new LastUses(program);
  program.forEach((action, index) => {
    duration[index] = checkedCost(action, cost);
    if (isCompute(action) || action.kind === 'step') return;
    operation[index] = action.kind === 'send' ? SEND : RECEIVE;
    const used = channels.use(action, worker);
    channel[index] = used;
    if (action.kind === 'send') return;
    if (isExchange(action)) {
      releases[index] = [used];
      return;
    }
    for (const microBatch of action.microBatches) {
      const lastUse = lastUses.indexOf(action.stage, microBatch);
      if (lastUse === undefined) continue;
      const list = releases[lastUse];
      if (list === undefined) releases[lastUse] = [used];
      else list.push(used);
    }
  });
  return { length, operation, duration, channel, releases };
}

function checkedCost(action: Action, cost: ActionCost): number {
  const value = cost(action);
  if (Number.isFinite(value) && value >= 0) return value;
  throw new MillraceError(
    'MILLRACE_SCHEDULE',
    `the cost of ${formatAction(action)} must be a finite number of at least 0, got ${value}`,
  );
}

/** Gives every channel a number, in order of first use. */
class ChannelTable {
  readonly #open: OpenChannel[] = [];
  readonly #indexOf = new Map<string, number>();

  use(action: Extract<Action, { kind: 'send' | 'receive' }>, worker: number): number {
    const ends = channelOf(action);
    const id = channelId(ends);
    let index = this.#indexOf.get(id);
    if (index === undefined) {
      index =
        this.#open.push({ ...ends, id, sends: 0, receives: 0, sender: undefined, receiver: undefined }) - 1;
      this.#indexOf.set(id, index);
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
