/**
 * A graph cut into stages: which nodes each stage runs, and which values travel between which stages.
 *
 * A value goes straight from the stage that makes it to every stage that reads it, however many stages lie between;
 * nothing is relayed. Model inputs are fed to each stage that reads them, by the driver.
 */

import type { StageTie, StageTopology } from '../protocol/topology.js';
import type { ModelGraph } from './graph.js';
import { learnedValues } from './learned-values.js';
import { type PlacedWeight, placeWeights } from './ties.js';
import { stepsWeightsByElement, trainableWeights } from './trainable.js';

export interface StageEdgeValues {
  readonly from: number;
  readonly to: number;
  readonly values: readonly number[];
  /** Those of the values whose gradients flow back. */
  readonly gradientValues: readonly number[];
}

export interface CutStage {
  readonly index: number;
  /** Indices of the stage's nodes, ascending and contiguous. */
  readonly nodes: readonly number[];
  /** Indices of the stage's layers in order of first use. */
  readonly layers: readonly number[];
  /** Positions of the model inputs that the stage reads. */
  readonly inputs: readonly number[];
  /** Positions of the model outputs that the stage makes. */
  readonly outputs: readonly number[];
}

export interface CutModel {
  readonly graph: ModelGraph;
  readonly cuts: readonly number[];
  readonly stages: readonly CutStage[];
  readonly edges: readonly StageEdgeValues[];
  readonly weights: readonly PlacedWeight[];
  /** Whether replicas may divide weights. */
  readonly dividesWeights: boolean;
}

/** @param dividesWeights by default what the optimizer that the model is compiled with now bears */
export function cutModel(
  graph: ModelGraph,
  cuts: readonly number[],
  dividesWeights: boolean = stepsWeightsByElement(graph),
): CutModel {
  const bounds = [0, ...cuts, graph.nodes.length];
  const stageOfNode = new Array<number>(graph.nodes.length);
  for (let stage = 0; stage + 1 < bounds.length; stage++) {
    stageOfNode.fill(stage, bounds[stage], bounds[stage + 1]);
  }
  const stages = bounds.slice(0, -1).map((start, index): CutStage => {
    const nodes = graph.nodes.slice(start, bounds[index + 1]);
    const reads = new Set(nodes.flatMap(node => node.inputs));
    const makes = new Set(nodes.flatMap(node => node.outputs));
    return {
      index,
      nodes: nodes.map(node => node.index),
      layers: [...new Set(nodes.map(node => node.layer))],
      inputs: graph.inputs.flatMap((value, position) => (reads.has(value) ? [position] : [])),
      outputs: graph.outputs.flatMap((value, position) => (makes.has(value) ? [position] : [])),
    };
  });
  const edges = edgesBetween(graph, stageOfNode);
  return { graph, cuts, stages, edges, weights: placeWeights(graph, stages), dividesWeights };
}

function edgesBetween(graph: ModelGraph, stageOfNode: readonly number[]): StageEdgeValues[] {
  const trainableLayers = new Set(
    trainableWeights(graph).flatMap(({ places }) => places.map(({ layer }) => layer)),
  );
  const needsGradient = learnedValues(graph.nodes, trainableLayers);
  const edges = new Map<string, { from: number; to: number; values: number[]; gradientValues: number[] }>();
  for (const value of graph.values) {
    if (value.producer < 0) continue;
    const from = stageOfNode[value.producer]!;
    for (const to of new Set(value.consumers.map(consumer => stageOfNode[consumer]!))) {
      if (to === from) continue;
      const key = `${from}>${to}`;
      const edge = edges.get(key) ?? { from, to, values: [], gradientValues: [] };
      edge.values.push(value.id);
      if (needsGradient.has(value.id)) edge.gradientValues.push(value.id);
      edges.set(key, edge);
    }
  }
  return [...edges.values()].sort((a, b) => a.from - b.from || a.to - b.to);
}

/**
 * How the stages hang together. Every stage that makes an output is fed its targets when `targets` is set, as for
 * training and evaluation; predicting feeds inputs alone.
 */
export function stageTopology(cut: CutModel, targets: boolean): StageTopology {
  return {
    stageCount: cut.stages.length,
    edges: cut.edges.map(({ from, to, gradientValues }) => ({
      from,
      to,
      gradient: gradientValues.length > 0,
    })),
    fedStages: cut.stages
      .filter(stage => stage.inputs.length > 0 || (targets && stage.outputs.length > 0))
      .map(stage => stage.index),
    outputStages: cut.stages.filter(stage => stage.outputs.length > 0).map(stage => stage.index),
    ties: stageTies(cut),
  };
}

/** Which stages have copies of another stage's weights. */
export function stageTies({ weights }: CutModel): readonly StageTie[] {
  const ties = new Map<string, StageTie>();
  for (const { owner, users } of weights) {
    for (const { stage: user } of users) {
      if (user !== owner.stage) ties.set(`${owner.stage}<${user}`, { owner: owner.stage, user });
    }
  }
  return [...ties.values()].sort((a, b) => a.owner - b.owner || a.user - b.user);
}
