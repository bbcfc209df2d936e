/** Where the optimizers' ops find what they change: weights and slots. */
import type { tf } from '../../../tf.js';

/** A slot of one variable. */
export interface HeldSlot {
  /** What an op is given. */
  readonly operand: tf.Tensor;
  /** The caller disposes it before the next step. */
  read(): tf.Tensor;
  dispose(): void;
}

/** The memory in which a variable is stepped. Between two steps somebody may assign to the variable, which then has other memory. */
export interface HeldWeight {
  /** Calls `run` with what an op is given, and shows the variable what it has become. */
  update(run: (operand: tf.Tensor) => void): void;
  /** The variable keeps its value. */
  dispose(): void;
}

export interface Memory {
  /** @param initial stays the caller's */
  slot(initial: tf.Tensor): HeldSlot;
  /** @param index of the variable among those of the optimizer */
  weight(variable: tf.Variable, index: number): HeldWeight;
}
