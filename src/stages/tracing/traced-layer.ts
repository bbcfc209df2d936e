/**
 * Layers whose calls run as graphs: those of users' own that are named in the `tracedLayers` option.
 *
 * A call made of tfjs operations costs 25 µs an operation beyond its mathematics, and each makes a buffer of its own. As a graph
 * it costs 2, buffers are reused, and the engine joins operations. Self-attention over 64 positions of 32 samples with its
 * gradients took 20 ms op by op and 11 as graphs.
 *
 * A graph repeats what one call did, and the layer's own code does not run again. A layer that keeps count of its calls, draws
 * random numbers or changes its weights is found out and left as it is; what changes rarely, such as an annealed temperature, or
 * is put aside without changing the output, cannot be, hence the option.
 */
import type * as tf from '@tensorflow/tfjs';
import { type Backend, NotTraceableError } from '../../backends/index.js';
import { MillraceError } from '../../errors.js';
import { canonicalWeights } from '../../model/weights.js';
import { formOf } from '../../tfjs/form.js';
import {
  areAbsent,
  innerLayers,
  insideAndItself,
  isTapeOn,
  type Layer,
  variableOf,
  variesByCall,
} from '../../tfjs/internals.js';
import { type TracedCall, trace } from './trace.js';
import { runTraced } from './traced-kernel.js';

/** Traces a built layer if its class is among `classNames`, or else those of the layers inside it that are. */
export function traceLayers(layer: Layer, backend: Backend, classNames: readonly string[]): void {
  if (backend.fused?.recordParts === undefined) return;
  if (classNames.includes(layer.getClassName())) {
    new TracedLayer(layer, backend).replaceCall();
    return;
  }
  for (const inner of innerLayers(layer)) traceLayers(inner, backend, classNames);
}

/** Combinations of shapes and arguments that a layer is traced for; further ones run op by op. Each takes some 0.1 s and a few MB. */
export const MOST_TRACES = 16;

/** Arguments of a call that a graph can depend on. */
interface KnownArguments {
  /** An activation behind the layer, which the graphs leave to its own layer. */
  readonly following?: unknown;
  readonly training?: boolean | undefined;
  readonly mask?: tf.Tensor | (tf.Tensor | null | undefined)[] | null | undefined;
}

interface Program {
  readonly traced: TracedCall;
  /** Whether the call gives its outputs as a list. */
  readonly isList: boolean;
}

class TracedLayer {
  readonly #layer: Layer;
  readonly #backend: Backend;
  readonly #plainCall: Layer['call'];
  /** By shapes and arguments; `undefined` for what runs op by op. */
  readonly #programs = new Map<string, Program | undefined>();
  #isRefused = false;
  #isFull = false;

  constructor(layer: Layer, backend: Backend) {
    this.#layer = layer;
    this.#backend = backend;
    this.#plainCall = layer.call.bind(layer);
  }

  replaceCall(): void {
    const stateful = insideAndItself(this.#layer).find(variesByCall);
    if (stateful !== undefined) {
      this.#refuse(
        `it has a layer of class '${stateful.getClassName()}', which keeps a state or draws random numbers`,
      );
      return;
    }
    this.#layer.call = (inputs, kwargs) => this.#call(inputs, (kwargs ?? {}) as KnownArguments);
  }

  #call(
    inputs: tf.Tensor | tf.Tensor[],
    { following: _, ...kwargs }: KnownArguments,
  ): tf.Tensor | tf.Tensor[] {
    const { training, mask, ...others } = kwargs;
    const masks = (Array.isArray(mask) ? mask : [mask]).filter(one => one !== undefined && one !== null);
    if (this.#isRefused || !areAbsent(others)) return this.#plainCall(inputs, kwargs);
    const tensors = Array.isArray(inputs) ? inputs : [inputs];
    const trains = training === true || isTapeOn();
    const key = JSON.stringify([trains, training, Array.isArray(inputs), tensors.map(formOf), masksOf(mask)]);
    if (!this.#programs.has(key)) this.#add(key, () => this.#trace(inputs, kwargs, masks, trains));
    const program = this.#programs.get(key);
    if (program === undefined) return this.#plainCall(inputs, kwargs);
    const outputs = runTraced(this.#backend.name, program.traced, tensors, masks, this.#weights());
    return program.isList ? outputs : outputs[0]!;
  }

  #add(key: string, trace: () => Program | undefined): void {
    if (this.#programs.size < MOST_TRACES) this.#programs.set(key, trace());
    else if (!this.#isFull) {
      this.#isFull = true;
      this.#warn(`is traced for ${MOST_TRACES} shapes; it runs op by op, which is slower, for all others.`);
    }
  }

  /** Looked up at every call: a layer may make some of them late. */
  #weights(): tf.Variable[] {
    return canonicalWeights(this.#layer).map(variableOf);
  }

  #trace(
    inputs: tf.Tensor | tf.Tensor[],
    kwargs: KnownArguments,
    masks: readonly tf.Tensor[],
    trains: boolean,
  ): Program | undefined {
    const { mask } = kwargs;
    let isList = false;
    try {
      const traced = trace(this.#backend.fused!.recordParts!, {
        name: this.#layer.name,
        inputs: Array.isArray(inputs) ? inputs : [inputs],
        masks,
        weights: this.#weights(),
        call: (given, givenMasks) => {
          const left = [...givenMasks];
          const replaced = Array.isArray(mask) ? mask.map(one => one && left.shift()!) : mask && left[0]!;
          const result = this.#plainCall(
            Array.isArray(inputs) ? [...given] : given[0]!,
            'mask' in kwargs ? { ...kwargs, mask: replaced } : kwargs,
          );
          isList = Array.isArray(result);
          return Array.isArray(result) ? result : [result];
        },
        trains,
      });
      return traced && { traced, isList };
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      this.#refuse(error instanceof NotTraceableError ? error.reason : error.message);
      return undefined;
    }
  }

  #refuse(reason: string): void {
    this.#isRefused = true;
    this.#warn(`cannot be traced and runs op by op, which is slower: ${reason}.`);
  }

  #warn(text: string): void {
    process.emitWarning(`Layer '${this.#layer.name}' ${text}`, { code: 'MILLRACE_NOT_TRACED' });
  }
}

function masksOf(mask: KnownArguments['mask']): unknown {
  if (mask === undefined || mask === null) return null;
  return Array.isArray(mask) ? mask.map(one => one && formOf(one)) : formOf(mask);
}
