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
 * Runs every node up to `repeats` times after one warm-up and keeps the fastest of each: the others were disturbed. Weights
 * are zeros, which cost what other numbers do; inputs are random in [0, 1), which also serves as indices of an embedding.
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
    let best = nodes.map(node => measureNode(node, values, true));
    for (let repeat = 0; repeat < repeats && (repeat === 0 || nowMs() - start < BUDGET_MS); repeat++) {
      const measured = nodes.map(node => measureNode(node, values, false));
      // The warm-up's times count nothing: compilation and first allocations are in them.
      best = repeat === 0 ? measured : best.map((profile, index) => fastest(profile, measured[index]!));
    }
    return best;
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

function fastest(a: NodeProfile, b: NodeProfile): NodeProfile {
  return {
    forwardMs: Math.min(a.forwardMs, b.forwardMs),
    backwardInputMs: Math.min(a.backwardInputMs, b.backwardInputMs),
    backwardWeightMs: Math.min(a.backwardWeightMs, b.backwardWeightMs),
    stepMs: Math.min(a.stepMs, b.stepMs),
    outputBytes: a.outputBytes,
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
