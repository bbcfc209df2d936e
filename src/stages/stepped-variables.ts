/**
 * The variables that a stage's optimizer steps: those of the layers, but one of its own for a weight that is divided among replicas,
 * which holds the rows that this replica steps. What it becomes reaches the layers with the rows of the others, through shared memory.
 */

import { optimizerEntries, type RowRange, type StageSpec } from '../protocol/stage-spec.js';
import { tf } from '../tf.js';
import { rowsOf } from '../tfjs/rows.js';
import type { StageLayers } from './layers.js';

interface Part {
  readonly variable: tf.Variable;
  readonly whole: tf.Variable;
  readonly rows: RowRange;
}

export class SteppedVariables {
  /** Of divided weights, by position in `StageSpec.trainable`. */
  readonly #parts: ReadonlyMap<number, Part>;
  /** By entry of the optimizer's list. */
  readonly variables: readonly tf.Variable[];

  constructor(spec: StageSpec, layers: StageLayers) {
    const parts = new Map<number, Part>();
    this.variables = optimizerEntries(spec).map(({ weight, rows }) => {
      const whole = layers.variable(spec.trainable[weight]!);
      if (rows === undefined) return whole;
      const variable = tf.tidy(() => tf.variable(rowsOf(whole, rows)));
      parts.set(weight, { variable, whole, rows });
      return variable;
    });
    this.#parts = parts;
  }

  /** What is stepped of a divided weight. */
  part(weight: number): tf.Variable {
    return this.#parts.get(weight)!.variable;
  }

  /** Takes the layers' weights, which somebody else has set. */
  refresh(): void {
    for (const { variable, whole, rows } of this.#parts.values()) {
      tf.tidy(() => variable.assign(rowsOf(whole, rows)));
    }
  }

  dispose(): void {
    for (const { variable } of this.#parts.values()) variable.dispose();
  }
}
