/**
 * Measures the layers of a model one by one, in the worker and on the engine that will run them. Several workers measure at
 * the same time, so that each sees the caches and memory bandwidth that training will leave it.
 *
 * The order is that of training: F of all layers, B of all, W of all, their sums, the step. Measured layer by layer, B and W
 * find in the caches what F has just written, and W of a convolution took two thirds of what it takes in training.
 */

import type { Backend } from '../backends/index.js';
import { followingActivations } from '../model/following.js';
import { nowMs } from '../protocol/clock.js';
import type { CompileSpec, NodeSpec, StageSpec } from '../protocol/stage-spec.js';
import type { NodeProfile, ProfileInput } from '../protocol/worker-api.js';
import { tf } from '../tf.js';
import type { OutputFunctions } from './functions.js';
import { MeasuredLoss } from './measured-loss.js';
import { MeasuredNode } from './measured-node.js';
import { StageOptimizer } from './optimizer.js';
import type { Value } from './value.js';

/** Measuring goes on until every node has run so often, or until so much time has gone by. */
const BUDGET_MS = 1_500;
/** What is kept between F and W; more is measured part by part. Far beyond what caches hold. */
const KEPT_BYTES = 256 * 2 ** 20;

/**
 * Runs all nodes one after another up to `repeats` times after one warm-up and keeps the means of the later half. Not the
 * fastest, which has met warm caches and a compiler at rest: sums of those foretold two thirds of what a step took. Nor the
 * median: times have a long upper tail here as in training, and a step is a sum over it. Weights are zeros, which cost what
 * other numbers do; inputs are random in [0, 1), which also serves as indices of an embedding. An activation that the kernel of
 * the layer before it may apply is measured with that layer, and takes nothing itself.
 */
export function profileNodes(
  backend: Backend,
  spec: StageSpec,
  compile: CompileSpec,
  functions: readonly OutputFunctions[],
  inputs: readonly ProfileInput[],
  repeats: number,
  tracedLayers: readonly string[] = [],
): NodeProfile[] {
  const measured = callsToMeasure(spec);
  const nodes: MeasuredNode[] = [];
  const losses = spec.ownedOutputs.map(
    ({ value, output }) => new MeasuredLoss(value, functions[output]!, compile.losses[output]!),
  );
  let stepped: StageOptimizer | undefined;
  const values = new Map<number, Value>();
  try {
    const learned = new Set<number>();
    for (const { call, following } of measured) {
      nodes.push(new MeasuredNode(backend, spec, call, following, learned, losses, tracedLayers));
    }
    stepped = new StageOptimizer(
      compile.optimizer,
      nodes.flatMap(({ variables }) => variables),
      backend.fused?.optimizer,
    );
    for (const { value, shape, dtype } of inputs) {
      const tensor = tf.tidy(() => tf.cast(tf.randomUniform([...shape]), dtype as 'float32'));
      values.set(value, { tensor, mask: undefined });
    }
    // A layer that is called again has been counted.
    const steps = measured.map(({ call }) => spec.nodes.find(({ layer }) => layer === call.layer) === call);
    const start = nowMs();
    // The warm-up's times count nothing: compilation and first allocations are in them.
    onePass(nodes, values, stepped, steps);
    const passes: NodeProfile[][] = [];
    while (passes.length < repeats && (passes.length === 0 || nowMs() - start < BUDGET_MS)) {
      passes.push(onePass(nodes, values, stepped, steps));
    }
    return spec.nodes.map(node => {
      const place = measured.findIndex(({ call }) => call === node);
      return place < 0 ? NOTHING : meanOf(passes, place);
    });
  } finally {
    for (const { tensor, mask } of values.values()) {
      tensor.dispose();
      mask?.dispose();
    }
    for (const node of nodes) node.dispose();
    for (const loss of losses) loss.dispose();
    stepped?.dispose();
  }
}

interface CallToMeasure {
  readonly call: NodeSpec;
  /** An activation that is measured with it. */
  readonly following: NodeSpec | undefined;
}

/** All calls but those of activations that the kernel of the call before them may apply. */
function callsToMeasure(spec: StageSpec): CallToMeasure[] {
  const following = followingActivations(spec);
  const applied = new Set([...following.values()].map(({ node }) => node));
  return spec.nodes.flatMap((call, index) => {
    const next = following.get(index);
    return applied.has(index) ? [] : [{ call, following: next && spec.nodes[next.node] }];
  });
}

/**
 * Training of one micro-batch, but that gradients begin anew at every node. Leaves `inputs` as they are.
 *
 * @param steps whether the optimizer steps the weights of a node
 */
function onePass(
  nodes: readonly MeasuredNode[],
  inputs: ReadonlyMap<number, Value>,
  optimizer: StageOptimizer,
  steps: readonly boolean[],
): NodeProfile[] {
  const values = new Map(inputs);
  const times = nodes.map(() => ({ ...NOTHING }));
  try {
    /** Indices, the last node first. */
    let kept: number[] = [];
    let keptBytes = 0;
    for (const [index, node] of nodes.entries()) {
      times[index]!.forwardMs = node.forward(values);
      times[index]!.outputBytes = node.outputBytes;
      kept.unshift(index);
      keptBytes += node.outputBytes;
      if (keptBytes < KEPT_BYTES && index < nodes.length - 1) continue;
      for (const one of kept) times[one]!.backwardInputMs = nodes[one]!.backwardInput(values);
      for (const one of kept) times[one]!.backwardWeightMs = nodes[one]!.backwardWeight();
      for (const one of kept) times[one]!.accumulateMs = nodes[one]!.accumulate();
      kept = [];
      keptBytes = 0;
    }
    const start = nowMs();
    // At a rate of 0, so that weights and with them all other numbers stay what they are.
    optimizer.apply(
      nodes.flatMap(({ gradients }) => gradients),
      0,
    );
    const stepMs = nowMs() - start;
    const sizes = nodes.map(({ variables }) => stepSize(variables));
    const total = sizes.reduce((sum, size) => sum + size, 0);
    for (const [index, size] of sizes.entries()) {
      if (steps[index]! && size > 0) times[index]!.stepMs = (stepMs * size) / total;
    }
  } finally {
    for (const node of nodes) node.clear();
    for (const [id, { tensor, mask }] of values) {
      if (!inputs.has(id)) tf.dispose(mask === undefined ? [tensor] : [tensor, mask]);
    }
  }
  return times;
}

/** Elements that an optimizer passes over in the time that a call of its operations takes. */
const ELEMENTS_PER_CALL = 2 ** 15;

/** What the weights take of a step, in elements. */
function stepSize(variables: readonly tf.Variable[]): number {
  return variables.reduce((sum, { size }) => sum + ELEMENTS_PER_CALL + size, 0);
}

const NOTHING: { -readonly [Kind in keyof NodeProfile]: number } = {
  forwardMs: 0,
  backwardInputMs: 0,
  backwardWeightMs: 0,
  accumulateMs: 0,
  stepMs: 0,
  outputBytes: 0,
};

/** Of each time by itself, over the later half of the passes: V8 goes on compiling what runs for a while. */
function meanOf(passes: readonly NodeProfile[][], node: number): NodeProfile {
  const later = passes.slice(passes.length >> 1).map(pass => pass[node]!);
  const mean = (kind: keyof NodeProfile): number =>
    later.reduce((sum, profile) => sum + profile[kind], 0) / later.length;
  return {
    forwardMs: mean('forwardMs'),
    backwardInputMs: mean('backwardInputMs'),
    backwardWeightMs: mean('backwardWeightMs'),
    accumulateMs: mean('accumulateMs'),
    stepMs: mean('stepMs'),
    outputBytes: passes[0]![node]!.outputBytes,
  };
}
