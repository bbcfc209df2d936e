/**
 * Everything that a stage holds of one micro-batch between its first message and its last action, so that it can all be
 * let go at once: received tensors, the tape, gradients, and the slots under them.
 */
import { tf } from '../tf.js';
import { disposeTape, type TapeNode } from '../tfjs/internals.js';
import type { DeferredWeightGradients } from './backward.js';
import type { Value } from './value.js';

export class MicroBatch {
  /** Every tensor made from a message; some may alias a slot. */
  readonly received: tf.Tensor[] = [];
  readonly releases: (() => void)[] = [];
  readonly inputs = new Map<number, Value>();
  /** Target and sample weights by model output. */
  readonly targets = new Map<
    number,
    { readonly target: tf.Tensor; readonly weight: tf.Tensor | undefined }
  >();
  /** Gradients of outputs by value, one from each stage that read the value. */
  readonly outputGradients = new Map<number, { readonly peer: number; readonly gradient: tf.Tensor }[]>();
  /** Gradients of received values, until they are sent. */
  readonly inputGradients = new Map<number, tf.Tensor>();
  tape: readonly TapeNode[] = [];
  /** Names each owned output's loss on the tape, by output. */
  lossIds: ReadonlyMap<number, number> = new Map();
  deferred: DeferredWeightGradients | undefined;
  /** Non-trainable weights as the forward pass met them, where it will run again. */
  stateBefore: readonly { readonly variable: tf.Variable; readonly value: tf.Tensor }[] = [];
  /** Forward messages sent so far. */
  emitted = 0;
  readonly #outputs = new Map<number, { readonly value: Value; readonly tensorId: number }>();

  /** Elements of the largest received tensor: what may alias a slot is no larger. */
  get largestReceived(): number {
    return this.received.reduce((largest, { size }) => Math.max(largest, size), 0);
  }

  /** @param tensorId names the output on the tape; `tensor` may be a copy of it */
  setOutput(id: number, tensorId: number, tensor: tf.Tensor, mask: tf.Tensor | undefined): void {
    this.#outputs.set(id, { value: { tensor, mask }, tensorId });
  }

  output(id: number): Value {
    return this.#outputs.get(id)!.value;
  }

  /** Names the output on the tape, also after it was disposed. */
  outputId(id: number): number {
    return this.#outputs.get(id)!.tensorId;
  }

  disposeOutputs(): void {
    for (const { value } of this.#outputs.values()) {
      value.tensor.dispose();
      value.mask?.dispose();
    }
  }

  /** Disposes everything, then gives the slots back: the order that aliasing demands. */
  finish(): void {
    this.drop();
    for (const release of this.releases) release();
  }

  /** Disposes everything but keeps the slots, as after a failure, when other threads may still be in them. */
  drop(): void {
    this.deferred?.dispose();
    disposeTape(this.tape);
    this.disposeOutputs();
    tf.dispose([...this.inputGradients.values(), ...this.received]);
    tf.dispose(this.stateBefore.map(({ value }) => value));
  }
}
