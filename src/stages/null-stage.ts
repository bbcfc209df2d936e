/**
 * A stage that computes nothing: every action takes a set time, and messages carry a few bytes. It drives the real workers,
 * channels and programs, so that a schedule's makespan can be measured without any mathematics.
 */
import type { Action, ExchangePass, MicroBatchPass, Peer } from '../protocol/action.js';
import type { StageDurations } from '../protocol/session.js';
import { MessageWriter, readMessage, type SlotView } from '../transport/index.js';
import type { StageEngine, StepInfo } from './engine.js';

const NEVER = new Int32Array(new SharedArrayBuffer(4));

export class NullStage implements StageEngine {
  readonly stage: number;
  readonly #durations: StageDurations;
  readonly #releases = new Map<number, (() => void)[]>();
  /** What every message carries, so that a test sees which one arrived: stage and micro-batch of the sender. */
  #lastRead: readonly number[] = [];

  constructor(stage: number, durations: StageDurations) {
    this.stage = stage;
    this.#durations = durations;
  }

  begin(_info: StepInfo): void {}

  accept(_pass: MicroBatchPass, _peer: Peer, microBatch: number, slot: SlotView, release: () => void): void {
    const [entry] = readMessage(slot);
    this.#lastRead = entry === undefined ? [] : [...entry.data];
    if (!this.#durations.holdsSlots) {
      release();
      return;
    }
    const releases = this.#releases.get(microBatch) ?? [];
    releases.push(release);
    this.#releases.set(microBatch, releases);
  }

  emit(_pass: MicroBatchPass, _peer: Peer, microBatch: number, slot: SlotView): void {
    const writer = new MessageWriter(slot);
    writer.begin(1);
    writer.entry({ dtype: 'int32', shape: [2] }).set([this.stage, microBatch]);
  }

  acceptExchange(_pass: ExchangePass, _peer: number, _slot: SlotView, release: () => void): void {
    release();
  }

  emitExchange(_pass: ExchangePass, _peer: number, slot: SlotView): void {
    new MessageWriter(slot).begin(0);
  }

  forward(): void {
    this.#wait('forward');
  }

  recompute(): void {
    this.#wait('recompute');
  }

  backwardInput(): void {
    this.#wait('backwardInput');
  }

  backwardWeight(microBatches: readonly number[]): void {
    for (const microBatch of microBatches) {
      this.#wait('backwardWeight');
      for (const release of this.#releases.get(microBatch) ?? []) release();
      this.#releases.delete(microBatch);
    }
  }

  step(): void {
    this.#wait('step');
  }

  end(sums: Float64Array): void {
    for (const [index, value] of this.#lastRead.entries()) if (index < sums.length) sums[index] = value;
  }

  abandon(): void {
    this.#releases.clear();
  }

  dispose(): void {
    this.abandon();
  }

  /** Sleeps, so that more workers than cores can be simulated: a busy loop would make them share cores. */
  #wait(kind: Action['kind']): void {
    const durationMs = this.#durations.ms[kind] ?? 0;
    if (durationMs > 0) Atomics.wait(NEVER, 0, 0, durationMs);
  }
}
