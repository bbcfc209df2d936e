/**
 * Whether a model's training can be compared at all. Some random models diverge, or stand on a kink of their activations or at a
 * prediction of length zero under a cosine: plain tfjs then trains to other numbers itself when its first weights move by one
 * unit of rounding. Micro-batches add gradients in another order, which moves weights by as much.
 */
import * as tf from '@tensorflow/tfjs';
import { distance, type ResultApart } from './differences.js';
import { type Logs, type Oracle, train } from './oracle.js';
import type { CaseSpec } from './spec.js';

/** A difference counts as sensitivity when one rounding of the first weights makes a tenth of it. */
export const SENSITIVE_PART = 10;

const ROUNDING = 2 ** -23;

export interface Trained {
  readonly logs: Logs;
  readonly model: tf.LayersModel;
}

/** Moves every weight by one unit of rounding, up and down in turn. */
export function nudgeWeights(model: tf.LayersModel): void {
  for (const weight of model.weights) {
    const variable = weight.read() as tf.Variable;
    const values = variable
      .dataSync<'float32'>()
      .map((value, index) => value * (1 + (index % 2 ? -1 : 1) * ROUNDING));
    const moved = tf.tensor(values, variable.shape);
    variable.assign(moved);
    moved.dispose();
  }
}

export async function trainAgain(
  oracle: Oracle,
  job: CaseSpec,
  x: tf.Tensor[],
  y: tf.Tensor[],
): Promise<Trained> {
  return { logs: await train(oracle, job, x, y), model: oracle.model };
}

/** How far the result that was apart moved between two trainings of plain tfjs. */
export function movedBy({ result, weight }: ResultApart, one: Trained, other: Trained): number {
  if (weight === undefined) return distance(other.logs[result]!, one.logs[result]!);
  const values = ({ model }: Trained): ArrayLike<number> =>
    (model.weights[weight]!.read() as tf.Tensor).dataSync();
  return distance(values(other), values(one));
}
