/**
 * The weights that training updates. tfjs takes them when the model is compiled: a weight that is thawed later stays as it is
 * until the model is compiled again. One that is frozen later gets no gradient from then on, but keeps its place.
 */
import type * as tf from '@tensorflow/tfjs';
import { compiled, type LayerVariable, stepsByElement, variableOf } from '../tfjs/internals.js';
import type { ModelGraph } from './graph.js';
import { canonicalWeights } from './weights.js';

export interface TrainableWeight {
  /** Number of the variable, in order of first mention in `optimizedWeights`. */
  readonly order: number;
  readonly shape: readonly number[];
  /** Whether it was frozen since the model was compiled. */
  readonly frozen: boolean;
  /** Positions in `optimizedWeights`. */
  readonly positions: readonly number[];
  /** Where the variable stands: in several layers if a layer is part of several nested models. */
  readonly places: readonly {
    /** Index into `ModelGraph.layers`. */
    readonly layer: number;
    /** Index into the layer's canonical weights. */
    readonly weight: number;
  }[];
}

/**
 * The compiled model's trainable weights, in the order in which its optimizer keeps its slots. A weight that is part of
 * several nested models is listed for each, and tfjs steps it as often.
 */
export function optimizedWeights(model: tf.LayersModel): readonly LayerVariable[] {
  return compiled(model).collectedTrainableWeights ?? [];
}

export function trainableWeights(graph: ModelGraph): readonly TrainableWeight[] {
  const placesOf = new Map<object, { layer: number; weight: number }[]>();
  for (const { index, layer } of graph.layers) {
    canonicalWeights(layer).forEach((variable, weight) => {
      const places = placesOf.get(variable) ?? [];
      placesOf.set(variable, places);
      places.push({ layer: index, weight });
    });
  }
  const positionsOf = new Map<LayerVariable, number[]>();
  for (const [position, variable] of optimizedWeights(graph.model).entries()) {
    const positions = positionsOf.get(variable) ?? [];
    positionsOf.set(variable, positions);
    positions.push(position);
  }
  return [...positionsOf].flatMap(([variable, positions], order) => {
    const places = placesOf.get(variable);
    const shape = variable.shape as number[];
    const frozen = !variableOf(variable).trainable;
    return places === undefined ? [] : [{ order, shape, frozen, positions, places }];
  });
}

/** Whether the model's optimizer, the one of now, lets parts of a weight be stepped apart. */
export function stepsWeightsByElement({ model }: ModelGraph): boolean {
  const { optimizer_: optimizer } = compiled(model);
  return optimizer !== undefined && stepsByElement(optimizer);
}
