/** Stretches of a stage's layers that run as graphs. */
import type * as tf from '@tensorflow/tfjs';
import type { Backend } from '../backends/index.js';
import { NotTraceableError } from '../backends/index.js';
import { type Span, TracedFunction } from './tracing/index.js';
import type { Value } from './value.js';

/** A stretch, and how its layers are called one by one. */
export interface SpanCalls {
  readonly span: Span;
  /** Of its layers. */
  readonly weights: readonly tf.Variable[];
  /** Adds what the layers make to `values`. */
  readonly call: (values: Map<number, Value>, training: boolean) => void;
  /** For messages. */
  readonly name: string;
}

/** What gradients are wanted of. */
export interface Learned {
  readonly values: ReadonlySet<number>;
  readonly weights: ReadonlySet<tf.Variable>;
}

export class TracedSpan {
  /** For messages. */
  readonly name: string;
  readonly #span: Span;
  readonly #traced: TracedFunction;

  /** @param learned values whose gradients are wanted, and weights */
  constructor(backend: Backend, { span, weights, call, name }: SpanCalls, learned: Learned) {
    this.name = name;
    this.#span = span;
    this.#traced = new TracedFunction(backend, {
      weights,
      learns: {
        inputs: span.inputs.map(value => learned.values.has(value)),
        weights: weights.map(weight => learned.weights.has(weight)),
      },
      call(inputs, _, training) {
        const values = new Map<number, Value>();
        for (const [index, id] of span.inputs.entries()) {
          values.set(id, { tensor: inputs[index]!, mask: undefined });
        }
        call(values, training);
        const { tensor, mask } = values.get(span.output)!;
        if (mask !== undefined) throw new NotTraceableError('it makes a mask');
        return tensor;
      },
    });
  }

  /** @returns whether it ran; if not, the layers are to be called one by one */
  run(values: Map<number, Value>, training: boolean): boolean {
    const inputs = this.#span.inputs.map(id => values.get(id)!);
    if (inputs.some(({ mask }) => mask !== undefined)) return false;
    const tensors = inputs.map(({ tensor }) => tensor);
    const tensor = this.#traced.run(tensors, [], training);
    if (tensor === undefined) return false;
    values.set(this.#span.output, { tensor, mask: undefined });
    return true;
  }
}
