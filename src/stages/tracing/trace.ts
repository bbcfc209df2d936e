/**
 * Recording what a layer's call computes: forward, the gradients of its inputs (B), and those of its weights (W), as three graphs.
 *
 * All three come from one run of the call with the tape on and of the backward pass over that tape, so what they compute is what
 * the layer computes untraced; what B and W read of the forward pass is what the gradients of tfjs's operations read.
 */
import * as tf from '@tensorflow/tfjs';
import { type GraphPart, NotTraceableError, type RecordParts } from '../../backends/index.js';
import { disposeTape, recordTape, type TapeNode, withoutTape } from '../../tfjs/internals.js';
import { backwardInput, type DeferredWeightGradients } from '../backward.js';

/** A layer's call for inputs of certain shapes. */
export interface TracedCall {
  /** Forward alone, or forward, B and W. Of what they are given, inputs come first, then masks, weights, and output gradients. */
  readonly parts: readonly GraphPart[];
  readonly outputCount: number;
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
  return withoutTape(() => (trains ? traceTraining(record, call) : traceForward(record, call)));
}

type Call = Omit<CallToTrace, 'trains'>;

function traceForward(record: RecordParts, call: Call): TracedCall | undefined {
  const { name, inputs, masks, weights } = call;
  let outputCount = 0;
  const parts = record(name, [...inputs, ...masks, ...weights], given => [
    () => {
      const outputs = callOn(call, given);
      outputCount = outputs.length;
      return outputs;
    },
  ]);
  return parts && { parts, outputCount, inputs: [], weights: [] };
}

function traceTraining(record: RecordParts, call: Call): TracedCall | undefined {
  const { name, inputs, masks, weights } = call;
  const forwardGiven = [...inputs, ...masks, ...weights];
  const outputGradients = randomGradients(call);
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
    const last = runs.at(-1)!;
    return (
      parts && {
        parts,
        outputCount: outputGradients.length,
        inputs: last.reachedInputs,
        weights: last.reachedWeights,
      }
    );
  } finally {
    for (const run of runs) run.dispose();
    tf.dispose([...outputGradients]);
  }
}

function callOn({ inputs, masks, call }: Call, given: readonly tf.Tensor[]): readonly tf.Tensor[] {
  const own = given.slice(0, inputs.length);
  return call(own, given.slice(inputs.length, inputs.length + masks.length));
}

/** A gradient for each output. Random, so that no error is multiplied with 0 or hidden by symmetry. */
function randomGradients(call: Call): tf.Tensor[] {
  const { weights } = call;
  const before = weights.map(weight => ({
    weight,
    dataId: weight.dataId,
    value: tf.clone(weight as tf.Tensor),
  }));
  const outputs = tf.tidy(() =>
    callOn(call, [...call.inputs, ...call.masks]).map(output => tf.clone(output)),
  );
  const shapes = outputs.map(({ shape }) => shape);
  tf.dispose(outputs);
  const changed = before.filter(({ weight, dataId }) => weight.dataId !== dataId);
  for (const { weight, value } of changed) weight.assign(value);
  tf.dispose(before.map(({ value }) => value));
  if (changed.length > 0) throw new NotTraceableError('it changes its weights when it is called');
  return shapes.map(shape => tf.randomUniform(shape, -1, 1, 'float32', 1));
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
    const seeds = new Map<number, tf.Tensor>();
    for (const [index, { id, dtype }] of this.#outputs.entries()) {
      if (dtype === 'float32') seeds.set(id, tf.clone(outputGradients[index]!));
    }
    const { inputGradients, deferred } = backwardInput({
      tape: this.#tape,
      samples: this.#inputs,
      inputs: this.#inputs.filter(({ dtype }) => dtype === 'float32'),
      variables: this.#call.weights,
      seeds,
    });
    this.#deferred = deferred;
    const wanted = this.#inputs.flatMap(({ dtype }, position) => (dtype === 'float32' ? [position] : []));
    this.reachedInputs = wanted.filter((_, index) => inputGradients[index] !== undefined);
    const gradients = inputGradients.filter(gradient => gradient !== undefined);
    this.#gradients = gradients;
    return gradients;
  }

  backwardWeight(): readonly tf.Tensor[] {
    const gradients = this.#deferred!.compute();
    this.#deferred = undefined;
    this.reachedWeights = gradients.flatMap((gradient, position) =>
      gradient === undefined ? [] : [position],
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
