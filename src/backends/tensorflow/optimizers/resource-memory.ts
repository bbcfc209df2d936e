/**
 * Weights and slots as TensorFlow's resource variables: one op per weight and step, which updates weight and slots in place. Adam
 * on a million weights takes 0.7 ms so, against 8.5 ms for tfjs's fifteen operations with a new buffer each.
 *
 * A weight's memory is the resource's. The layers read it through the tfjs variable, whose data is a tensor read from the
 * resource: dropped before each update, or the update would copy, and read again after it.
 */
import type { tf } from '../../../tf.js';
import { renewVariable } from '../../../tfjs/internals.js';
import type { HeldWeight, Memory } from './held.js';
import { Resource } from './resource.js';

export const RESOURCE_MEMORY: Memory = {
  slot: initial => new Resource(initial),
  weight: variable => new ResourceWeight(variable),
};

class ResourceWeight implements HeldWeight {
  readonly #variable: tf.Variable;
  readonly #resource: Resource;
  /** What the variable holds while nobody else has assigned to it. */
  #dataId: object;

  constructor(variable: tf.Variable) {
    this.#variable = variable;
    this.#dataId = variable.dataId;
    this.#resource = new Resource(variable);
  }

  update(run: (operand: tf.Tensor) => void): void {
    if (this.#variable.dataId !== this.#dataId) this.#resource.assign(this.#variable);
    try {
      renewVariable(
        this.#variable,
        () => run(this.#resource.operand),
        () => this.#resource.read(),
      );
    } finally {
      this.#dataId = this.#variable.dataId;
    }
  }

  /** The variable keeps what it has read; memory that is shared outlives the handle. */
  dispose(): void {
    this.#resource.dispose();
  }
}
