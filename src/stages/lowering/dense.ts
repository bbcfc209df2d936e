/** Dense layers and embeddings. */
import { tf } from '../../tf.js';
import {
  type ActivationFunction,
  type Lowering,
  presentValue,
  splitActivation,
  type Weight,
} from './layer-call.js';

interface DenseLayer {
  readonly activation: ActivationFunction;
  readonly kernel: Weight;
  readonly bias: Weight | null;
}

export const dense: Lowering = (layer, operations) => {
  const { activation, kernel, bias } = layer as unknown as DenseLayer;
  const { inlineWith, after } = splitActivation(activation, operations);
  return (input, { following }) =>
    after(operations.dense(input, kernel.read(), presentValue(bias), inlineWith(following)));
};

interface EmbeddingLayer {
  readonly embeddings: Weight;
}

export const embedding: Lowering = (layer, operations) => {
  const { embeddings } = layer as unknown as EmbeddingLayer;
  return input => {
    // Refuses sequences of another length than the layer was made for.
    layer.computeOutputShape(input.shape);
    return operations.embedding(embeddings.read(), tf.cast(input, 'int32'));
  };
};
