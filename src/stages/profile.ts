/**
 * Measures the layers of a model one by one, forward, B, W and optimizer step, in the worker and on the engine that will
 * run them. Several workers measure at the same time, so that each sees the caches and memory bandwidth that training will
 * leave it.
 */
import * as tf from '@tensorflow/tfjs';
import type { Backend } from '../backends/index.js';
import { nowMs } from '../protocol/clock.js';
import type { CompileSpec, NodeSpec, StageSpec } from '../protocol/stage-spec.js';
import type { NodeProfile, ProfileInput } from '../protocol/worker-api.js';
import { disposeTape, recordTape } from '../tfjs/internals.js';
import { backwardInput } from './backward.js';
import { StageLayers, type Value } from './layers.js';
import { lowerLayer } from './lowering/index.js';
import { StageOptimizer } from './optimizer.js';

/** Measuring goes on until every node has run so often, or until so much time has gone by. */
const BUDGET_MS = 1_500;

/**
 * Runs all nodes one after another up to `repeats` times after one warm-up and keeps the median of each. Not the fastest, which
 * has met warm caches and a compiler at rest: sums of those foretold two thirds of what a step took. Weights are zeros, which
 * cost what other numbers do; inputs are random in [0, 1), which also serves as indices of an embedding.
 */
export function profileNodes(
  backend: Backend,
  spec: StageSpec,
  optimizer: CompileSpec['optimizer'],
  inputs: readonly ProfileInput[],
  repeats: number,
): NodeProfile[] {
  const values = new Map<number, Value>();
  for (const { value, shape, dtype } of inputs) {
    const tensor = tf.tidy(() => tf.cast(tf.randomUniform([...shape]), dtype as 'float32'));
    values.set(value, { tensor, mask: undefined });
  }
  let nodes: readonly MeasuredNode[] = [];
  try {
    nodes = measuredNodes(backend, spec, optimizer);
    const start = nowMs();
    // The warm-up's times count nothing: compilation and first allocations are in them.
    for (const node of nodes) measureNode(node, values, true);
    const passes: NodeProfile[][] = [];
    while (passes.length < repeats && (passes.length === 0 || nowMs() - start < BUDGET_MS)) {
      passes.push(nodes.map(node => measureNode(node, values, false)));
    }
    return nodes.map((_, index) => medianOf(passes.map(pass => pass[index]!)));
  } finally {
    for (const { tensor, mask } of values.values()) {
      tensor.dispose();
      mask?.dispose();
    }
    for (const { layers, optimizer: used } of nodes) {
      layers.dispose();
      used.dispose();
    }
  }
}

/** Of each time by itself. */
function medianOf(profiles: readonly NodeProfile[]): NodeProfile {
  const median = (kind: keyof NodeProfile): number => {
    const sorted = profiles.map(profile => profile[kind]).sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)]!;
  };
  return {
    forwardMs: median('forwardMs'),
    backwardInputMs: median('backwardInputMs'),
    backwardWeightMs: median('backwardWeightMs'),
    stepMs: median('stepMs'),
    outputBytes: profiles[0]!.outputBytes,
  };
}

interface MeasuredNode {
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  /** Inputs with a trainable weight upstream, whose gradient training computes too. */
  readonly learnedInputs: readonly number[];
  readonly layers: StageLayers;
  readonly variables: readonly tf.Variable[];
  readonly optimizer: StageOptimizer;
}

function measuredNodes(
  backend: Backend,
  spec: StageSpec,
  optimizer: CompileSpec['optimizer'],
): MeasuredNode[] {
  const learned = new Set<number>();
  const operations = backend.fused?.operations;
  const made: { dispose(): void }[] = [];
  const measured = ({ layer, inputs, outputs }: NodeSpec): MeasuredNode => {
    const alone = { ...spec, layers: [spec.layers[layer]!], nodes: [{ layer: 0, inputs, outputs }] };
    const layers = new StageLayers(alone, built => {
      if (operations !== undefined) lowerLayer(built, operations);
    });
    made.push(layers);
    const variables = spec.trainable
      .filter(ref => ref.layer === layer)
      .map(ref => layers.variable({ layer: 0, weight: ref.weight }));
    const learnedInputs = inputs.filter(id => learned.has(id));
    if (variables.length > 0 || learnedInputs.length > 0) for (const id of outputs) learned.add(id);
    const stepped = new StageOptimizer(optimizer, variables, backend.fused?.optimizer);
    made.push(stepped);
    return { inputs, outputs, learnedInputs, layers, variables, optimizer: stepped };
  };
  try {
    return spec.nodes.map(measured);
  } catch (error) {
    for (const part of made) part.dispose();
    throw error;
  }
}

/** Times one node. The first call leaves its outputs in `values`, for the nodes after it. */
function measureNode(node: MeasuredNode, values: Map<number, Value>, keepOutputs: boolean): NodeProfile {
  const { inputs, outputs, learnedInputs, layers, variables, optimizer } = node;
  const start = nowMs();
  const { result, tape } = recordTape(() => {
    const local = new Map(values);
    layers.call(local, true);
    return outputs.map(id => {
      const { tensor, mask } = local.get(id)!;
      return { id, tensor: tf.keep(tensor), mask: mask === undefined ? undefined : tf.keep(tf.clone(mask)) };
    });
  });
  const forwardEnd = nowMs();
  const seeds = new Map(
    result
      .filter(({ tensor }) => tensor.dtype === 'float32')
      .map(({ tensor }) => [tensor.id, tf.onesLike(tensor)] as const),
  );
  const backwardStart = nowMs();
  const { inputGradients, deferred } = backwardInput({
    tape,
    samples: inputs.map(id => values.get(id)!.tensor),
    inputs: learnedInputs.map(id => values.get(id)!.tensor),
    variables,
    seeds,
  });
  const backwardInputEnd = nowMs();
  const gradients = deferred.compute();
  const backwardWeightEnd = nowMs();
  optimizer.apply(gradients, Number.NaN);
  const end = nowMs();
  const outputBytes = result.reduce(
    (sum, { tensor }) => sum + tensor.size * tf.util.bytesPerElement(tensor.dtype),
    0,
  );
  tf.dispose([...inputGradients, ...gradients].filter(gradient => gradient !== undefined));
  disposeTape(tape);
  for (const { id, tensor, mask } of result) {
    if (keepOutputs) values.set(id, { tensor, mask });
    else tf.dispose(mask === undefined ? [tensor] : [tensor, mask]);
  }
  return {
    forwardMs: forwardEnd - start,
    backwardInputMs: backwardInputEnd - backwardStart,
    backwardWeightMs: backwardWeightEnd - backwardInputEnd,
    stepMs: end - backwardWeightEnd,
    outputBytes,
  };
}
