/** Values with a trainable weight somewhere upstream: only these carry a gradient back. */
import type { NodeSpec } from '../protocol/stage-spec.js';

/**
 * @param nodes in execution order
 * @param layers those with a weight that is trained
 * @param known such values that the nodes do not make
 */
export function learnedValues(
  nodes: readonly NodeSpec[],
  layers: ReadonlySet<number>,
  known: Iterable<number> = [],
): ReadonlySet<number> {
  const values = new Set(known);
  for (const { layer, inputs, outputs } of nodes) {
    if (layers.has(layer) || inputs.some(input => values.has(input))) {
      for (const output of outputs) values.add(output);
    }
  }
  return values;
}
