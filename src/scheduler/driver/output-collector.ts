/** Takes predictions out of their rings as they come, so that the stages that make them never wait long for a slot. */
import type { CutModel } from '../../model/index.js';
import { modelStageOf, replicaOf } from '../../protocol/replica.js';
import type { TensorData, TensorHeader } from '../../protocol/tensor.js';
import { type ReceiveLink, readMessage } from '../../transport/index.js';
import type { DriverSession } from './session.js';

/** One tensor of a prediction, copied out of its slot. */
export interface OutputPart {
  /** Position in the model's list of outputs. */
  readonly output: number;
  readonly header: TensorHeader;
  readonly data: TensorData;
}

interface Cursor {
  /** As schedules number it. */
  readonly stage: number;
  readonly replica: number;
  readonly link: ReceiveLink;
  /** The step whose outputs the next message carries: messages come in order. */
  position: number;
  received: number;
}

export class OutputCollector {
  readonly #cut: CutModel;
  readonly #microBatchesOf: (position: number) => number;
  /** Of one replica. */
  readonly #microBatchCount: number;
  readonly #cursors: readonly Cursor[];
  /** Of every step, by replica: they come in as they like, but the first one has the first samples. */
  readonly #parts = new Map<number, OutputPart[][]>();

  /** @param microBatchesOf how many micro-batches a step under way has in all replicas together */
  constructor(session: DriverSession, cut: CutModel, microBatchesOf: (position: number) => number) {
    this.#cut = cut;
    this.#microBatchesOf = microBatchesOf;
    this.#microBatchCount = session.schedule.microBatchCount;
    const position = session.board.limit;
    this.#cursors = [...session.outputs].map(([stage, link]) => {
      const replica = replicaOf(stage, cut.stages.length);
      return { stage, replica, link, position, received: 0 };
    });
  }

  collect(): void {
    for (const cursor of this.#cursors) {
      const { link, replica } = cursor;
      const { outputs } = this.#cut.stages[modelStageOf(cursor.stage, this.#cut.stages.length)]!;
      for (let slot = link.tryReceive(); slot !== undefined; slot = link.tryReceive()) {
        this.#skipEmpty(cursor);
        const parts = this.#parts.get(cursor.position) ?? [];
        this.#parts.set(cursor.position, parts);
        parts[replica] ??= [];
        for (const [index, entry] of readMessage(link.slot(slot)).entries()) {
          const output = outputs[index]!;
          parts[replica].push({ output, header: entry!.header, data: entry!.data.slice() });
        }
        link.release(slot);
        cursor.received += 1;
        if (cursor.received === this.#ownMicroBatches(cursor)) {
          cursor.position += 1;
          cursor.received = 0;
        }
      }
    }
  }

  /** Steps that have no samples for the cursor's replica. */
  #skipEmpty(cursor: Cursor): void {
    while (this.#ownMicroBatches(cursor) === 0) cursor.position += 1;
  }

  #ownMicroBatches({ replica, position }: Cursor): number {
    const others = replica * this.#microBatchCount;
    return Math.max(0, Math.min(this.#microBatchCount, this.#microBatchesOf(position) - others));
  }

  /** The outputs of a completed step, in the order of its samples. */
  take(position: number): readonly OutputPart[] {
    const parts = this.#parts.get(position) ?? [];
    this.#parts.delete(position);
    return parts.flat();
  }
}
