/** Takes predictions out of their rings as they come, so that the stages that make them never wait long for a slot. */
import type { CutModel } from '../../model/index.js';
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
  readonly stage: number;
  readonly link: ReceiveLink;
  /** The step whose outputs the next message carries: messages come in order. */
  position: number;
  received: number;
}

export class OutputCollector {
  readonly #cut: CutModel;
  readonly #microBatchesOf: (position: number) => number;
  readonly #cursors: readonly Cursor[];
  readonly #parts = new Map<number, OutputPart[]>();

  constructor(session: DriverSession, cut: CutModel, microBatchesOf: (position: number) => number) {
    this.#cut = cut;
    this.#microBatchesOf = microBatchesOf;
    const position = session.board.limit;
    this.#cursors = [...session.outputs].map(([stage, link]) => ({ stage, link, position, received: 0 }));
  }

  collect(): void {
    for (const cursor of this.#cursors) {
      const { link, stage } = cursor;
      for (let slot = link.tryReceive(); slot !== undefined; slot = link.tryReceive()) {
        const parts = this.#parts.get(cursor.position) ?? [];
        this.#parts.set(cursor.position, parts);
        for (const [index, entry] of readMessage(link.slot(slot)).entries()) {
          const output = this.#cut.stages[stage]!.outputs[index]!;
          parts.push({ output, header: entry!.header, data: entry!.data.slice() });
        }
        link.release(slot);
        cursor.received += 1;
        if (cursor.received === this.#microBatchesOf(cursor.position)) {
          cursor.position += 1;
          cursor.received = 0;
        }
      }
    }
  }

  /** The outputs of a completed step, micro-batch by micro-batch. */
  take(position: number): readonly OutputPart[] {
    const parts = this.#parts.get(position) ?? [];
    this.#parts.delete(position);
    return parts;
  }
}
