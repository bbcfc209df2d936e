/**
 * How many slots each channel gets.
 *
 * Between stages: the peak that two mini-batches reach when no channel ever makes its sender wait, and a few
 * spare. With the peak alone nothing deadlocks, whatever the actions cost in the end (see `validate.ts`), and under the
 * simulated costs nothing waits for a slot. Real durations jitter: a spare slot lets a sender run ahead of a
 * receiver that is late, like the second half of a double buffer.
 *
 * To and from the driver: two mini-batches. The main thread works while the stages work on the first of them, so
 * neither a feed nor an event loop that is busy makes a stage wait.
 */
import type { Program } from '../../protocol/action.js';
import type { ChannelEnds } from '../../protocol/channel.js';
import { type ActionCost, unitCost } from './costs.js';
import { simulate } from './simulate.js';

const MINI_BATCHES_IN_FLIGHT = 2;

export interface SlotOptions {
  /** Default: unit costs. */
  readonly cost?: ActionCost;
  /** Slots above the simulated peak, at the price of one message's memory each. Default 1. */
  readonly spareSlots?: number;
}

export interface ChannelSlots extends ChannelEnds {
  readonly id: string;
  readonly slotCount: number;
}

/** Every channel that the programs use, in order of first use. */
export function planSlots(programs: readonly Program[], options: SlotOptions = {}): readonly ChannelSlots[] {
  const { cost = unitCost, spareSlots = 1 } = options;
  const { channels } = simulate(programs, { cost, miniBatchCount: MINI_BATCHES_IN_FLIGHT });
  return channels.map(({ id, from, to, pass, messageCount, peakOccupancy }) => {
    const most = MINI_BATCHES_IN_FLIGHT * messageCount;
    const isOfDriver = from === 'driver' || to === 'driver';
    return { id, from, to, pass, slotCount: isOfDriver ? most : Math.min(most, peakOccupancy + spareSlots) };
  });
}

/** The form that the simulator and the validator take. */
export function slotCountsOf(channels: readonly ChannelSlots[]): ReadonlyMap<string, number> {
  return new Map(channels.map(({ id, slotCount }) => [id, slotCount]));
}
