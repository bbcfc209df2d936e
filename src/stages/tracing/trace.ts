/**
 * Recording what a layer's call computes: forward, the gradients of its inputs (B), and those of its weights (W), as three graphs.
 *
 * All three come from one run of the call with the tape on and of the backward pass over that tape, so what they compute is what
 * the layer computes untraced; what B and W read of the forward pass is what the gradients of tfjs's operations read.
 */

import {
  type FactorComputation,
  type GraphPart,
  NotTraceableError,
  type RecordParts,
  randomAbout1,
  tellingNumbers,
  tellsLittle,
} from '../../backends/index.js';
import { tf } from '../../tf.js';
import { disposeTape, recordTape, type TapeNode, withoutTape } from '../../tfjs/internals.js';
import { backwardInput, DeferredWeightGradients } from '../backward.js';

/** A layer's call for inputs of certain shapes. */
export interface TracedCall {
  /** Forward alone, or forward, B and W. Of what they are given, inputs come first, then masks, weights, and output gradients. */
  readonly parts: readonly GraphPart[];
  readonly outputCount: number;
  /** Numbers of what B and W read of the inputs, masks and weights. */
  readonly readLater: readonly number[];
  /** Positions of the inputs whose gradients B gives. */
  readonly inputs: readonly number[];
  /** Positions of inputs whose gradients nobody wants: that they are samples is all that they say on a tape. */
  readonly idleInputs: readonly number[];
  readonly weights: readonly TracedWeight[];
}

/** What W gives for a weight: a gradient, the factors of one, or both, to be added. Places are among W's results. */
export interface TracedWeight {
  /** Among the weights. */
  readonly position: number;
  readonly gradient: number | undefined;
  readonly product: TracedProduct | undefined;
}

/** A product over samples, which stays one: of several micro-batches or replicas it is taken once. */
export interface TracedProduct {
  readonly left: number;
  readonly right: number;
  /** See `SampleProduct`. */
  readonly factorSize: number;
  readonly computation: FactorComputation;
}

export interface CallToTrace {
  /** For warnings; without it there are none. */
  readonly name: string | undefined;
  readonly inputs: readonly tf.Tensor[];
  readonly masks: readonly tf.Tensor[];
  /** All that the call may read besides. */
  readonly weights: readonly tf.Variable[];
  /** @returns the outputs */
  readonly call: (inputs: readonly tf.Tensor[], masks: readonly tf.Tensor[]) => readonly tf.Tensor[];
  readonly trains: boolean;
  /** Whose gradients are wanted: all, if left out. */
  readonly learns?: Learning | undefined;
}

/** By position, whose gradients are wanted. */
export interface Learning {
  readonly inputs: readonly boolean[];
  readonly weights: readonly boolean[];
}

/**
 * @returns `undefined`, with a warning where there is a name, if the engine's graphs compute something else
 * @throws NotTraceableError if the call cannot be a graph
 */
export function trace(record: RecordParts, { trains, ...call }: CallToTrace): TracedCall | undefined {
  return withoutTape(() => {
    const shapes = shapesOfOutputs(call);
    return onTellingWeights(call.weights, () =>
      trains ? traceTraining(record, call, shapes) : traceForward(record, call, shapes),
    );
  });
}

type Call = Omit<CallToTrace, 'trains'>;

type Shapes = readonly (readonly number[])[];

function traceForward(record: RecordParts, call: Call, shapes: Shapes): TracedCall | undefined {
  const { name, inputs, masks, weights } = call;
  const parts = record(name, [...inputs, ...masks, ...weights], given => [() => callOn(call, given)]);
  return (
    parts && {
      parts,
      outputCount: shapes.length,
      readLater: [],
      inputs: [],
      idleInputs: [],
      weights: [],
    }
  );
}

function traceTraining(record: RecordParts, call: Call, shapes: Shapes): TracedCall | undefined {
  // The gradient of one that nobody reads would be zeros, where tfjs computes none: 0 times infinity is not 0.
  if (shapes.length > 1) throw new NotTraceableError('it has several outputs');
  const { name, inputs, masks, weights } = call;
  const forwardGiven = [...inputs, ...masks, ...weights];
  const outputGradients = shapes.map((shape, index) => randomAbout1(shape, 0.5, weights.length + index));
  const runs: TrainingRun[] = [];
  try {
    const parts = record(name, [...forwardGiven, ...outputGradients], given => {
      const run = new TrainingRun(call, given);
      runs.push(run);
      return [
        () => run.forward(),
        () => run.backwardInput(given.slice(forwardGiven.length)),
        () => run.backwardWeight(),
      ];
    });
    const { reachedInputs, idleInputs, reachedWeights } = runs.at(-1)!;
    const read = parts?.slice(1).flatMap(({ reads }) => reads) ?? [];
    const readLater = [...new Set(read)].filter(number => number < forwardGiven.length);
    return (
      parts && {
        parts,
        outputCount: shapes.length,
        readLater,
        inputs: reachedInputs,
        idleInputs,
        weights: reachedWeights,
      }
    );
  } finally {
    for (const run of runs) run.dispose();
    tf.dispose(outputGradients);
  }
}

function callOn({ inputs, masks, call }: Call, given: readonly tf.Tensor[]): readonly tf.Tensor[] {
  const own = given.slice(0, inputs.length);
  return call(own, given.slice(inputs.length, inputs.length + masks.length));
}

/**
 * Runs the call once to see what comes out.
 *
 * @throws NotTraceableError if that changes a weight, which then is what it was before
 */
function shapesOfOutputs(call: Call): Shapes {
  return restoring(call.weights, () => {
    const before = call.weights.map(({ dataId }) => dataId);
    const shapes: number[][] = [];
    tf.tidy(() => {
      for (const { shape } of callOn(call, [...call.inputs, ...call.masks])) shapes.push(shape);
    });
    if (call.weights.some(({ dataId }, index) => dataId !== before[index])) {
      throw new NotTraceableError('it changes its weights when it is called');
    }
    return shapes;
  });
}

/** Runs `run` with other numbers in weights whose own say little. */
function onTellingWeights<T>(weights: readonly tf.Variable[], run: () => T): T {
  return restoring(weights, () => {
    for (const [index, weight] of weights.entries()) {
      if (!tellsLittle(weight)) continue;
      const numbers = tellingNumbers(weight, index);
      weight.assign(numbers);
      numbers.dispose();
    }
    return run();
  });
}

/** Gives all weights back what they had, whatever `run` does to them. */
function restoring<T>(weights: readonly tf.Variable[], run: () => T): T {
  const before = weights.map(weight => tf.clone(weight as tf.Tensor));
  try {
    return run();
  } finally {
    for (const [index, weight] of weights.entries()) {
      if (weight.dataId !== before[index]!.dataId) weight.assign(before[index]!);
    }
    tf.dispose(before);
  }
}

/**
 * Factors with fewer elements than so many times their product may be sent or joined in its place; others are not, and their product is
 * part of the graph.
 */
const FACTORS_WORTH_KEEPING = 2;

/** One training pass over a call, part by part. What it returns lives until `dispose`. */
class TrainingRun {
  readonly #call: Call;
  readonly #inputs: readonly tf.Tensor[];
  readonly #given: readonly tf.Tensor[];
  #tape: readonly TapeNode[] = [];
  #outputs: readonly tf.Tensor[] = [];
  #deferred: DeferredWeightGradients | undefined;
  #gradients: readonly tf.Tensor[] = [];
  /** Positions of the inputs and the weights whose gradients are wanted. */
  readonly #wantedInputs: readonly number[];
  readonly #wantedWeights: readonly number[];
  readonly idleInputs: readonly number[];
  reachedInputs: readonly number[] = [];
  reachedWeights: readonly TracedWeight[] = [];

  constructor(call: Call, given: readonly tf.Tensor[]) {
    this.#call = call;
    this.#given = given;
    this.#inputs = given.slice(0, call.inputs.length);
    const { learns, weights } = call;
    const positions = [...this.#inputs.keys()];
    // Indices too: should a gradient reach them, it goes on from there.
    this.#wantedInputs = positions.filter(position => learns?.inputs[position] !== false);
    this.idleInputs = positions.filter(position => !this.#wantedInputs.includes(position));
    this.#wantedWeights = positionsOfFloats(weights).filter(position => learns?.weights[position] !== false);
  }

  forward(): readonly tf.Tensor[] {
    // Clones on the tape, so that every output has an id of its own.
    const { result, tape } = recordTape(() =>
      callOn(this.#call, this.#given).map(output => tf.keep(tf.clone(output))),
    );
    this.#tape = tape;
    this.#outputs = result;
    return result;
  }

  backwardInput(outputGradients: readonly tf.Tensor[]): readonly tf.Tensor[] {
    const seeds = new Map(
      this.#outputs.map(({ id }, index) => [id, tf.clone(outputGradients[index]!)] as const),
    );
    const { inputGradients, deferred } = backwardInput({
      tape: this.#tape,
      samples: this.#inputs,
      inputs: this.#wantedInputs.map(position => this.#inputs[position]!),
      variables: this.#wantedWeights.map(position => this.#call.weights[position]!),
      seeds,
    });
    this.#deferred = deferred;
    this.reachedInputs = this.#wantedInputs.filter((_, index) => inputGradients[index] !== undefined);
    const gradients = inputGradients.filter(gradient => gradient !== undefined);
    this.#gradients = gradients;
    return gradients;
  }

  backwardWeight(): readonly tf.Tensor[] {
    const deferred = this.#deferred!;
    const results: tf.Tensor[] = [];
    const place = (tensor: tf.Tensor): number => results.push(tensor) - 1;
    const products = new Map<number, TracedProduct>();
    const taken = DeferredWeightGradients.takeProducts([deferred], (index, [product]) => {
      const { size } = this.#call.weights[this.#wantedWeights[index]!]!;
      return product!.factorSize < FACTORS_WORTH_KEEPING * size;
    });
    for (const [index, [product]] of taken) {
      const { factorSize, computation, factors } = product!;
      const [left, right] = factors();
      products.set(index, { left: place(left), right: place(right), factorSize, computation });
    }
    const gradients = deferred.compute();
    this.#deferred = undefined;
    this.reachedWeights = this.#wantedWeights.flatMap((position, index) => {
      const [own, product] = [gradients[index], products.get(index)];
      if (own === undefined && product === undefined) return [];
      return [{ position, gradient: own && place(own), product }];
    });
    this.#gradients = [...this.#gradients, ...results];
    return results;
  }

  dispose(): void {
    this.#deferred?.dispose();
    disposeTape(this.#tape);
    tf.dispose([...this.#outputs, ...this.#gradients]);
  }
}

function isFloat({ dtype }: tf.Tensor): boolean {
  return dtype === 'float32';
}

/** What has another type has no gradient. */
function positionsOfFloats(tensors: readonly tf.Tensor[]): number[] {
  return tensors.flatMap((tensor, position) => (isFloat(tensor) ? [position] : []));
}
