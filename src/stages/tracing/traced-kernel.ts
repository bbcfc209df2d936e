/** A traced call as one node of the tape: its graphs run where the layer's operations would have been recorded. */

import { type GraphPart, registerFused, sampleProduct, sharing } from '../../backends/index.js';
import type { BackendName } from '../../protocol/stage-spec.js';
import { tf } from '../../tf.js';
import type { TracedCall, TracedWeight } from './trace.js';

interface Attributes {
  readonly traced: TracedCall;
  /** Inputs, masks, and weights. */
  readonly given: readonly tf.Tensor[];
}

type Run = (inputs: Record<string, tf.Tensor>, attributes: Attributes) => tf.Tensor[];

const kernels = new Map<BackendName, Run>();

/** tfjs knows gradients by the kernel's name alone, whatever the backend. */
function kernelOf(backend: BackendName): Run {
  const known = kernels.get(backend) ?? register(backend);
  kernels.set(backend, known);
  return known;
}

function runPart(part: GraphPart, values: ReadonlyMap<number, tf.Tensor>): tf.Tensor[] {
  return part.run(part.reads.map(number => values.get(number)!));
}

function register(backend: BackendName): Run {
  return registerFused<Attributes, tf.Tensor[]>({
    name: `MillraceTraced on ${backend}`,
    backend,
    forward(_, { traced, given }, hide) {
      const [forward] = traced.parts;
      const outputs = runPart(forward!, new Map(given.entries()));
      const later = traced.readLater.map(number => tf.clone(given[number]!));
      hide([...outputs.slice(traced.outputCount), ...later]);
      return outputs.slice(0, traced.outputCount);
    },
    saves: { inputs: [], output: false },
    gradient(outputGradients, saved, { traced, given }) {
      const [, backwardInput, backwardWeight] = traced.parts;
      const carriedCount = saved.length - traced.readLater.length;
      // Whatever a shared result adds to `saved` comes after these.
      const carried = saved.slice(0, carriedCount);
      const known = new Map(traced.readLater.map((number, index) => [number, saved[carriedCount + index]!]));
      const number = (values: readonly tf.Tensor[], from: number): void => {
        for (const [index, value] of values.entries()) known.set(from + index, value);
      };
      number(outputGradients, given.length);
      const firstCarried = given.length + 2 * traced.outputCount;
      number(carried, firstCarried);
      const ofInputs = sharing(saved, () => {
        const results = runPart(backwardInput!, known);
        number(results, firstCarried + carriedCount);
        return results;
      });
      const ofWeights = sharing(saved, () => {
        ofInputs();
        return runPart(backwardWeight!, known);
      });
      // At once: going back through the layers is B's work, also where no gradient of an input is asked for.
      ofInputs();
      const thunks: Record<string, () => tf.Tensor> = {};
      for (const [place, input] of traced.inputs.entries()) {
        thunks[`input${input}`] = () => ofInputs()[place]!;
      }
      for (const weight of traced.weights) {
        thunks[`weight${weight.position}`] = weightGradient(weight, ofWeights);
      }
      return thunks;
    },
  });
}

function weightGradient(
  { gradient, product }: TracedWeight,
  results: () => readonly tf.Tensor[],
): () => tf.Tensor {
  const own = (): tf.Tensor => results()[gradient!]!;
  if (product === undefined) return own;
  const { left, right, factorSize, computation } = product;
  const ofProduct = sampleProduct({
    factorSize,
    factors: () => [tf.clone(results()[left]!), tf.clone(results()[right]!)],
    computation,
  });
  return gradient === undefined ? ofProduct : () => tf.tidy(() => tf.add(own(), ofProduct()));
}

/** Runs a traced call on inputs, masks and weights; on the tape, if it is on and the call was traced for training. */
export function runTraced(
  backend: BackendName,
  traced: TracedCall,
  inputs: readonly tf.Tensor[],
  masks: readonly tf.Tensor[],
  weights: readonly tf.Tensor[],
): tf.Tensor[] {
  const given = [...inputs, ...masks, ...weights];
  // What no gradient reaches is not the node's: tfjs's own walk would end above.
  const onTape: Record<string, tf.Tensor> = {};
  for (const place of [...traced.inputs, ...traced.idleInputs]) onTape[`input${place}`] = inputs[place]!;
  for (const { position } of traced.weights) onTape[`weight${position}`] = weights[position]!;
  return kernelOf(backend)(onTape, { traced, given });
}
