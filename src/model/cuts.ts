/**
 * Where a model may be cut, and what crosses each cut.
 *
 * Position `k` lies before node `k`: nodes 0 … k−1 go to earlier stages. A layer that is called more than once may have
 * its calls in different stages if its trainable weights are all that the calls share; else the positions between
 * its calls are closed.
 */
import type { ModelGraph } from './graph.js';
import { isSeparable } from './ties.js';

/** Positions that would separate calls which must stay together, with the name of the layer. */
export function closedCuts(graph: ModelGraph): ReadonlyMap<number, string> {
  const closed = new Map<number, string>();
  for (const { nodes, name, layer } of graph.layers) {
    const first = nodes[0]!;
    const last = nodes[nodes.length - 1]!;
    if (first === last || isSeparable(layer)) continue;
    for (let position = first + 1; position <= last; position++) closed.set(position, name);
  }
  return closed;
}

/** Positions 1 … n−1 that are not closed, ascending. */
export function cutPoints(graph: ModelGraph): readonly number[] {
  const closed = closedCuts(graph);
  return graph.nodes.flatMap(({ index }) => (index === 0 || closed.has(index) ? [] : [index]));
}

/** Values that are made before `position` and read at or after it. Model inputs are fed, so they never cross. */
export function crossingValues(graph: ModelGraph, position: number): readonly number[] {
  return graph.values
    .filter(
      value =>
        value.producer >= 0 &&
        value.producer < position &&
        value.consumers.some(consumer => consumer >= position),
    )
    .map(value => value.id);
}
