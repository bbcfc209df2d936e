/**
 * Recording what a layer's call computes: forward, the gradients of its inputs (B), and those of its weights (W), as three graphs.
 *
 * All three come from one run of the call with the tape on and of the backward pass over that tape, so what they compute is what
 * the layer computes untraced; what B and W read of the forward pass is what the gradients of tfjs's operations read.
 */
import * as tf from '@tensorflow/tfjs';
import {
  type GraphPart,
  NotTraceableError,
  type RecordParts,
  randomAbout1,
  tellingNumbers,
  tellsLittle,
} from '../../backends/index.js';
import { disposeTape, recordTape, type TapeNode, withoutTape } from '../../tfjs/internals.js';
import { backwardInput, type DeferredWeightGradients } from '../backward.js';

/** A layer's call for inputs of certain shapes. */
export interface TracedCall {
  /** Forward alone, or forward, B and W. Of what they are given, inputs come first, then masks, weights, and output gradients. */
  readonly parts: readonly GraphPart[];
  readonly outputCount: number;
  /** Numbers of what B and W read of the inputs, masks and weights. */
  readonly readLater: readonly number[];
  /** Positions of the inputs and weights whose gradients B and W give. */
  readonly inputs: readonly number[];
  readonly weights: readonly number[];
}

export interface CallToTrace {
  /** For warnings. */
  readonly name: string;
  readonly inputs: readonly tf.Tensor[];
  readonly masks: readonly tf.Tensor[];
  /** All that the call may read besides. */
  readonly weights: readonly tf.Variable[];
  /** @returns the outputs */
  readonly call: (inputs: readonly tf.Tensor[], masks: readonly tf.Tensor[]) => readonly tf.Tensor[];
  readonly trains: boolean;
}

/**
 * @returns `undefined`, with a warning, if the engine's graphs compute something else
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
  return parts && { parts, outputCount: shapes.length, readLater: [], inputs: [], weights: [] };
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
    const { reachedInputs, reachedWeights } = runs.at(-1)!;
    const read = parts?.slice(1).flatMap(({ reads }) => reads) ?? [];
    const readLater = [...new Set(read)].filter(number => number < forwardGiven.length);
    return (
      parts && {
        parts,
        outputCount: shapes.length,
        readLater,
        inputs: reachedInputs,
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

/** One training pass over a call, part by part. What it returns lives until `dispose`. */
class TrainingRun {
  readonly #call: Call;
  readonly #inputs: readonly tf.Tensor[];
  readonly #given: readonly tf.Tensor[];
  #tape: readonly TapeNode[] = [];
  #outputs: readonly tf.Tensor[] = [];
  #deferred: DeferredWeightGradients | undefined;
  #gradients: readonly tf.Tensor[] = [];
  reachedInputs: readonly number[] = [];
  reachedWeights: readonly number[] = [];

  constructor(call: Call, given: readonly tf.Tensor[]) {
    this.#call = call;
    this.#given = given;
    this.#inputs = given.slice(0, call.inputs.length);
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
      // Indices too: should a gradient reach them, it goes on from there.
      inputs: this.#inputs,
      variables: this.#call.weights.filter(isFloat),
      seeds,
    });
    this.#deferred = deferred;
    this.reachedInputs = inputGradients.flatMap((gradient, position) =>
      gradient === undefined ? [] : [position],
    );
    const gradients = inputGradients.filter(gradient => gradient !== undefined);
    this.#gradients = gradients;
    return gradients;
  }

  backwardWeight(): readonly tf.Tensor[] {
    const gradients = this.#deferred!.compute();
    this.#deferred = undefined;
    this.reachedWeights = positionsOfFloats(this.#call.weights).filter(
      (_, index) => gradients[index] !== undefined,
    );
    const present = gradients.filter(gradient => gradient !== undefined);
    this.#gradients = [...this.#gradients, ...present];
    return present;
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
