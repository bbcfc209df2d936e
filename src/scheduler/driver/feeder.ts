/**
 * Writes mini-batches into the rings of the stages that need them, as far as free slots allow: sessions have some for all mini-batches
 * under way. It never waits: where a ring is full it remembers the place and goes on at the next call.
 */
import type { CutModel } from '../../model/index.js';
import { modelStageOf, replicaOf } from '../../protocol/replica.js';
import { MessageWriter, type SendLink, type SlotView } from '../../transport/index.js';
import { gatherRows, type MiniBatch, type SampleArray } from './mini-batch.js';
import type { DriverSession } from './session.js';

interface Feed {
  /** As schedules number it. */
  readonly stage: number;
  readonly link: SendLink;
  /** Mini-batches that are not wholly written yet, oldest first, with the next micro-batch to write. */
  readonly pending: {
    readonly batch: MiniBatch;
    readonly microBatchRows: readonly number[];
    next: number;
    row: number;
  }[];
}

export class Feeder {
  readonly #cut: CutModel;
  readonly #feeds: readonly Feed[];
  /** Of one replica. */
  readonly #microBatchCount: number;

  constructor(session: DriverSession, cut: CutModel) {
    this.#cut = cut;
    this.#microBatchCount = session.schedule.microBatchCount;
    this.#feeds = [...session.feeds].map(([stage, link]) => ({ stage, link, pending: [] }));
  }

  /** Every replica gets its own part of the micro-batches; of a small mini-batch the last ones may get none. */
  add(batch: MiniBatch, microBatchRows: readonly number[]): void {
    for (const feed of this.#feeds) {
      const first = replicaOf(feed.stage, this.#cut.stages.length) * this.#microBatchCount;
      const own = microBatchRows.slice(first, first + this.#microBatchCount);
      if (own.length === 0) continue;
      const row = microBatchRows.slice(0, first).reduce((sum, rows) => sum + rows, 0);
      feed.pending.push({ batch, microBatchRows: own, next: 0, row });
    }
  }

  /** Writes whatever fits now. */
  pump(): void {
    for (const feed of this.#feeds) {
      for (let current = feed.pending[0]; current !== undefined; current = feed.pending[0]) {
        const rows = current.microBatchRows[current.next]!;
        const slot = feed.link.tryClaim();
        if (slot === undefined) break;
        this.#write(feed.stage, current.batch, current.row, rows, feed.link.slot(slot));
        feed.link.publish(slot);
        current.row += rows;
        current.next += 1;
        if (current.next === current.microBatchRows.length) feed.pending.shift();
      }
    }
  }

  /** The stage's inputs, then target and sample weights of each output that it owns. */
  #write(stage: number, batch: MiniBatch, row: number, count: number, slot: SlotView): void {
    const { stages } = this.#cut;
    const { inputs, outputs } = stages[modelStageOf(stage, stages.length)]!;
    const withTargets = batch.targets.length > 0;
    const writer = new MessageWriter(slot);
    writer.begin(inputs.length + (withTargets ? 2 * outputs.length : 0));
    const write = (source: SampleArray): void => {
      const { dtype, shape } = source.header;
      gatherRows(source, batch.rows, row, count, writer.entry({ dtype, shape: [count, ...shape] }));
    };
    for (const input of inputs) write(batch.inputs[input]!);
    if (!withTargets) return;
    for (const output of outputs) {
      write(batch.targets[output]!);
      const weights = batch.sampleWeights[output];
      if (weights === undefined) writer.absent();
      else write({ header: { dtype: 'float32', shape: [] }, data: weights });
    }
  }
}
