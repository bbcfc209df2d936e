/** A model as the partitioners see it: a unit for each layer call. */
import { closedCuts, cutPoints, type ModelGraph, partingCuts } from '../../model/index.js';
import type { PartitionProblem, PartitionUnit } from '../plan/index.js';

export function partitionProblem(graph: ModelGraph): PartitionProblem {
  const units: PartitionUnit[] = graph.nodes.map(node => {
    const { name, parameterCount, nodes } = graph.layers[node.layer]!;
    return { name, layerNames: [name], parameters: nodes[0] === node.index ? parameterCount : 0 };
  });
  return { units, allowedCuts: cutPoints(graph), closedCuts: closedReasons(graph) };
}

/** The same without the cuts that part an activation from the layer whose kernel applies it, if there are others enough. */
export function withActivationsKept(
  problem: PartitionProblem,
  graph: ModelGraph,
  stageCount: number,
): PartitionProblem {
  const parting = partingCuts(graph);
  const allowedCuts = problem.allowedCuts.filter(cut => !parting.has(cut));
  return allowedCuts.length < stageCount - 1 ? problem : { ...problem, allowedCuts };
}

/** The positions that are closed, with the reason in words. */
function closedReasons(graph: ModelGraph): ReadonlyMap<number, string> {
  return new Map(
    [...closedCuts(graph)].map(([position, layer]) => [
      position,
      `layer '${layer}' is called on both sides, and what it keeps between its calls lives in one stage`,
    ]),
  );
}
