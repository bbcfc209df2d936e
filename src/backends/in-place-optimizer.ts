/** An optimizer of a backend's own: tfjs's mathematics, but one pass over weights and slots that stay where they are. */
import type * as tf from '@tensorflow/tfjs';
import type { Place } from './placed.js';

export interface InPlaceOptimizer {
  /** Steps taken, as tfjs counts them. */
  readonly iterations: number;
  /**
   * One step. A variable without a gradient stays as it is. Gradients stay the caller's.
   *
   * @param gradients one a variable. Each is asked for when the variable before has its new value
   * @param learningRate NaN keeps the last one
   * @param onStepped is told which variable has its new value, those without a gradient left out
   */
  apply(
    gradients: Iterable<tf.Tensor | undefined>,
    learningRate: number,
    onStepped?: (index: number) => void,
  ): void;
  /**
   * The slots as tfjs would save them: groups of one tensor a variable, which the caller disposes. None before the first
   * step, nor for rules whose slots tfjs cannot save.
   */
  readSlots(): tf.Tensor[][];
  /** Takes copies of such groups. */
  writeSlots(iterations: number, groups: readonly (readonly tf.Tensor[])[]): void;
  dispose(): void;
}

/**
 * Makes one for `optimizer`, which is only read; `undefined` for a class or settings that it does not know.
 *
 * `places` are where replicas read the variables, none for one that never has a gradient. An optimizer that is able to writes them
 * there: from its first step on a variable lies in its place (`liesIn`), until somebody else assigns to it.
 */
export type InPlaceOptimizerFactory = (
  optimizer: tf.Optimizer,
  variables: readonly tf.Variable[],
  places?: readonly (Place | undefined)[],
) => InPlaceOptimizer | undefined;
