/**
 * TensorFlow's own ops, called through tfjs-node's backend: what the fused kernels and optimizers are made of.
 *
 * An op that is called here costs about 12 µs beyond its mathematics; the same one as a tfjs operation costs 50.
 */
import { tf } from '../../tf.js';
import type { AttributeName } from './attribute-names.js';

/** An attribute as the addon takes it. */
export interface Attribute {
  readonly name: AttributeName;
  readonly type: number;
  readonly value: unknown;
}

/** What the addon calls the kinds of attributes. */
export interface AttributeKinds {
  readonly TF_ATTR_BOOL: number;
  readonly TF_ATTR_FLOAT: number;
  readonly TF_ATTR_INT: number;
  readonly TF_ATTR_SHAPE: number;
  readonly TF_ATTR_STRING: number;
  readonly TF_ATTR_TYPE: number;
}

interface Binding extends AttributeKinds {
  readonly TF_BOOL: number;
  readonly TF_FLOAT: number;
  readonly TF_INT32: number;
  readonly TF_Version: string;
}

/** The members of tfjs-node's backend that Millrace uses. */
export interface NodeBackend {
  readonly binding: Binding;
  executeSingleOutput(op: string, attributes: readonly Attribute[], inputs: tf.TensorInfo[]): tf.Tensor;
  executeMultipleOutputs(
    op: string,
    attributes: readonly Attribute[],
    inputs: tf.TensorInfo[],
    outputCount: number,
  ): tf.Tensor[];
}

/** Element types by tfjs's names. */
export type RawType = 'float32' | 'int32' | 'bool';

export class RawOps {
  readonly #backend: NodeBackend;
  /** The attribute `T` for float32, which most ops take alone. */
  readonly float: readonly Attribute[];

  constructor(backend: NodeBackend) {
    this.#backend = backend;
    this.float = [this.type('T')];
  }

  /** Runs an op with one output. */
  one(op: string, attributes: readonly Attribute[], ...inputs: tf.TensorInfo[]): tf.Tensor {
    return this.#backend.executeSingleOutput(op, attributes, inputs);
  }

  /** Runs an op with any number of outputs, none included. */
  many(
    op: string,
    attributes: readonly Attribute[],
    inputs: tf.TensorInfo[],
    outputCount: number,
  ): tf.Tensor[] {
    return this.#backend.executeMultipleOutputs(op, attributes, inputs, outputCount);
  }

  /** Runs an op on float32 tensors that needs no attribute but their type. */
  map(op: string, ...inputs: tf.TensorInfo[]): tf.Tensor {
    return this.#backend.executeSingleOutput(op, this.float, inputs);
  }

  type(name: AttributeName, type: RawType = 'float32'): Attribute {
    const { binding } = this.#backend;
    const value = { float32: binding.TF_FLOAT, int32: binding.TF_INT32, bool: binding.TF_BOOL }[type];
    return { name, type: binding.TF_ATTR_TYPE, value };
  }

  bool(name: AttributeName, value: boolean): Attribute {
    return { name, type: this.#backend.binding.TF_ATTR_BOOL, value };
  }

  /** A whole number or a list of them. */
  ints(name: AttributeName, value: number | readonly number[]): Attribute {
    return { name, type: this.#backend.binding.TF_ATTR_INT, value };
  }

  number(name: AttributeName, value: number): Attribute {
    return { name, type: this.#backend.binding.TF_ATTR_FLOAT, value };
  }

  string(name: AttributeName, value: string): Attribute {
    return { name, type: this.#backend.binding.TF_ATTR_STRING, value };
  }

  shape(name: AttributeName, value: readonly number[]): Attribute {
    return { name, type: this.#backend.binding.TF_ATTR_SHAPE, value };
  }
}

let current: { readonly backend: unknown; readonly raw: RawOps } | undefined;

/** The ops of the calling thread's TensorFlow backend, which must be tfjs's current one. */
export function rawOps(): RawOps {
  const backend = tf.backend();
  if (current?.backend !== backend) current = { backend, raw: new RawOps(backend as unknown as NodeBackend) };
  return current.raw;
}
