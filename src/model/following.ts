/**
 * Activation layers right behind a layer whose kernel may apply them too, such as batch norm and the rectifier behind it: together
 * they take one pass over memory less, forward and back.
 */
import { type LayerSpec, leavingValues, type StageSpec } from '../protocol/stage-spec.js';
import type { ModelGraph } from './graph.js';

/** Classes whose kernels can apply an activation. */
const TAKING: ReadonlySet<string> = new Set([
  'Dense',
  'Conv1D',
  'Conv2D',
  'DepthwiseConv2D',
  'SeparableConv2D',
  'BatchNormalization',
]);

/** What kernels apply inside: activations whose gradient reads their output. */
const TAKEN: ReadonlySet<string> = new Set(['relu', 'sigmoid', 'tanh', 'elu', 'softmax']);

/** What must be known of a stage. */
interface Calls extends Pick<StageSpec, 'nodes' | 'outgoing' | 'ownedOutputs'> {
  readonly layers: readonly Pick<LayerSpec, 'className' | 'config'>[];
}

/** A call of an activation layer. */
export interface FollowingNode {
  /** Its place among the stage's nodes. */
  readonly node: number;
  readonly activation: string;
}

/**
 * By node, the activation that is all that becomes of what the node makes. Classes go by their names: a worker looks whether
 * they are tfjs's, and whether its backend has such kernels.
 */
export function followingActivations(calls: Calls): ReadonlyMap<number, FollowingNode> {
  const { layers, nodes } = calls;
  const leaving = leavingValues(calls);
  const readers = new Map<number, number[]>();
  for (const [node, { inputs }] of nodes.entries()) {
    for (const value of inputs) readers.set(value, [...(readers.get(value) ?? []), node]);
  }
  const following = new Map<number, FollowingNode>();
  for (const [node, { layer, outputs }] of nodes.entries()) {
    if (!isTaking(layers[layer]!)) continue;
    const made = outputs[0]!;
    const [reader, ...others] = readers.get(made) ?? [];
    if (reader === undefined || others.length > 0 || leaving.has(made)) continue;
    const activation = activationOf(layers[nodes[reader]!.layer]!);
    if (activation !== undefined && TAKEN.has(activation)) following.set(node, { node: reader, activation });
  }
  return following;
}

/** Whether a layer's kernel can apply an activation, and has none of its own to apply first. */
function isTaking({ className, config: { activation } }: Calls['layers'][number]): boolean {
  return (
    TAKING.has(className) && (activation === undefined || activation === null || activation === 'linear')
  );
}

/** What a layer applies that does nothing else; `undefined` for any other layer, and for what takes a parameter. */
function activationOf({ className, config }: Calls['layers'][number]): string | undefined {
  const { activation, maxValue } = config;
  if (className === 'ReLU') return typeof maxValue === 'number' ? undefined : 'relu';
  return className === 'Activation' && typeof activation === 'string' ? activation : undefined;
}

/** Positions of cuts that part an activation from the layer whose kernel applies it. */
export function partingCuts({ layers, nodes, outputs }: ModelGraph): ReadonlySet<number> {
  const following = followingActivations({
    layers: layers.map(({ layer }) => ({
      className: layer.getClassName(),
      config: layer.getConfig() as LayerSpec['config'],
    })),
    nodes,
    outgoing: [],
    ownedOutputs: outputs.map((value, output) => ({ value, output })),
  });
  const positions = new Set<number>();
  for (const [first, { node: last }] of following) {
    for (let position = first + 1; position <= last; position++) positions.add(position);
  }
  return positions;
}
