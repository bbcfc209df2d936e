/** A model as the partitioners see it: a unit for each layer call. */
import { closedCuts, cutPoints, type ModelGraph, partingCuts } from '../../model/index.js';
import type { PartitionProblem, PartitionUnit } from '../plan/index.js';

/** With the cuts that part an activation from the layer whose kernel applies it. */
export interface ModelProblem extends PartitionProblem {
  readonly partingCuts: ReadonlySet<number>;
}

export function partitionProblem(graph: ModelGraph): ModelProblem {
  const units: PartitionUnit[] = graph.nodes.map(node => {
    const { name, parameterCount, nodes } = graph.layers[node.layer]!;
    return { name, layerNames: [name], parameters: nodes[0] === node.index ? parameterCount : 0 };
  });
  return {
    units,
    allowedCuts: cutPoints(graph),
    closedCuts: closedReasons(graph),
    partingCuts: partingCuts(graph),
  };
}

/** The same without those cuts, if there are others enough. */
export function withActivationsKept(problem: ModelProblem, stageCount: number): ModelProblem {
  const allowedCuts = problem.allowedCuts.filter(cut => !problem.partingCuts.has(cut));
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
