/**
 * Where a model may be cut, and what crosses each cut.
 *
 * Position `k` lies before node `k`: nodes 0 … k−1 go to earlier stages. A layer that is called more than once keeps
 * its calls in one stage, because its weights and its gradient sum live there; positions between two of its calls are
 * therefore closed, and so are those that would leave a stage without any layer.
 */
import type { ModelGraph } from './graph.js';

/** Positions 1 … n−1 that do not separate two calls of one layer, ascending. */
export function cutPoints(graph: ModelGraph): readonly number[] {
  const closed = new Set<number>();
  for (const { nodes } of graph.layers) {
    const first = nodes[0]!;
    const last = nodes[nodes.length - 1]!;
    for (let position = first + 1; position <= last; position++) closed.add(position);
  }
  const points: number[] = [];
  for (let position = 1; position < graph.nodes.length; position++) {
    if (!closed.has(position)) points.push(position);
  }
  return points;
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
