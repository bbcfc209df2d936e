/** A cut model as plain data for the workers: layer configs, calls, and the values on every edge, for each replica. */

import { ModelError } from '../errors.js';
import { replicaStage } from '../protocol/replica.js';
import type { EdgeValues, Json, LayerSpec, StageSpec } from '../protocol/stage-spec.js';
import { isRegisteredClass } from '../tfjs/internals.js';
import type { GraphLayer, ModelGraph } from './graph.js';
import { shareWeights, type WeightShares } from './replicas.js';
import { type CutModel, cutModel, stageTies } from './stages.js';
import type { PlacedWeight } from './ties.js';
import { canonicalWeights } from './weights.js';

/** The stages of replica 0, then those of replica 1, … */
export function describeStages(cut: CutModel, replicas = 1): StageSpec[] {
  const shares = shareWeights(cut, replicas);
  const stages = describeOneReplica(cut, shares);
  return Array.from({ length: replicas }, (_, replica) => {
    const number = (stage: number): number => replicaStage(replica, stage, stages.length);
    return stages.map(
      (spec): StageSpec => ({
        ...spec,
        stage: number(spec.stage),
        replica,
        replicaStages: Array.from({ length: replicas }, (_, other) =>
          replicaStage(other, spec.stage, stages.length),
        ),
        incoming: spec.incoming.map(edge => ({ ...edge, peer: number(edge.peer) })),
        outgoing: spec.outgoing.map(edge => ({ ...edge, peer: number(edge.peer) })),
        copies: spec.copies.map(copy => ({ ...copy, owner: number(copy.owner) })),
        lent: spec.lent.map(({ peer, orders }) => ({ peer: number(peer), orders })),
      }),
    );
  }).flat();
}

function describeOneReplica(cut: CutModel, shares: WeightShares): StageSpec[] {
  const { graph } = cut;
  return cut.stages.map((stage): StageSpec => {
    const place = new Map(stage.layers.map((layer, index) => [layer, index]));
    return {
      stage: stage.index,
      replica: 0,
      replicaStages: [stage.index],
      layers: stage.layers.map(layer => describeLayer(graph.layers[layer]!)),
      nodes: stage.nodes.map(index => {
        const { layer, inputs, outputs } = graph.nodes[index]!;
        return { layer: place.get(layer)!, inputs, outputs };
      }),
      fedInputs: stage.inputs.map(input => {
        const value = graph.inputs[input]!;
        return { value, input, dtype: graph.values[value]!.dtype };
      }),
      ownedOutputs: stage.outputs.map(output => ({ value: graph.outputs[output]!, output })),
      incoming: cut.edges
        .filter(edge => edge.to === stage.index)
        .map(({ from, values, gradientValues }): EdgeValues => ({ peer: from, values, gradientValues })),
      outgoing: cut.edges
        .filter(edge => edge.from === stage.index)
        .map(({ to, values, gradientValues }): EdgeValues => ({ peer: to, values, gradientValues })),
      trainable: cut.weights
        .filter(({ owner }) => owner.stage === stage.index)
        .map(({ order, frozen, positions, owner: { layer, weight } }) => ({
          layer: place.get(layer)!,
          weight,
          order,
          frozen,
          positions,
          shares: shares.get(order)!,
        })),
      copies: cut.weights.flatMap(({ order, frozen, owner, users }) =>
        users
          .filter(user => user.stage === stage.index)
          .map(({ layer, weight }) => ({
            layer: place.get(layer)!,
            weight,
            order,
            frozen,
            owner: owner.stage,
          })),
      ),
      lent: stageTies(cut)
        .filter(({ owner }) => owner === stage.index)
        .map(({ user }) => ({
          peer: user,
          orders: sharedWeights(cut, stage.index, user).map(({ order }) => order),
        })),
    };
  });
}

/** Weights that stage `owner` owns and `user` has a copy of: what their messages carry, in order. */
export function sharedWeights(cut: CutModel, owner: number, user: number): readonly PlacedWeight[] {
  return cut.weights.filter(
    weight => weight.owner.stage === owner && weight.users.some(({ stage }) => stage === user),
  );
}

/** The whole model as a single stage, as profiling wants it. */
export function describeWhole(graph: ModelGraph): StageSpec {
  return describeStages(cutModel(graph, []))[0]!;
}

function describeLayer({ layer, index, name, buildShapes }: GraphLayer): LayerSpec {
  const className = layer.getClassName();
  if (!isRegisteredClass(className)) {
    throw new ModelError(
      `Layer '${name}' has the class '${className}', which is not registered with tfjs, so workers cannot rebuild it. ` +
        'Call tf.serialization.registerClass() in a module of its own and name that module in the `setup` option.',
      name,
    );
  }
  return {
    index,
    name,
    className,
    config: withoutInitializers(layer.getConfig() as Json) as LayerSpec['config'],
    buildShapes: buildShapes as LayerSpec['buildShapes'],
    weights: canonicalWeights(layer).map(weight => ({
      name: weight.originalName,
      shape: weight.shape as number[],
      dtype: weight.dtype as 'float32',
    })),
  };
}

/**
 * Replaces initializers by zeros, also those of inner layers: weights are overwritten right after building, and an
 * orthogonal initializer alone can take minutes (139 s for an LSTM of 256 units on the cpu backend).
 */
function withoutInitializers(config: Json): Json {
  if (Array.isArray(config)) return config.map(withoutInitializers);
  if (config === null || typeof config !== 'object') return config === undefined ? null : config;
  return Object.fromEntries(
    Object.entries(config)
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => [
        key,
        /initializer$/i.test(key) && value !== null && typeof value === 'object'
          ? { className: 'Zeros', config: {} }
          : withoutInitializers(value as Json),
      ]),
  );
}
