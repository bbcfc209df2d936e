/** The shape of every value for inputs of a given shape, by the layers' own rules. */
import type * as tf from '@tensorflow/tfjs';
import { ModelError } from '../errors.js';
import type { ModelGraph } from './graph.js';

/**
 * Shapes by value id, batch axis included.
 *
 * @param inputShapes one full shape per model input, in the model's order
 * @throws ModelError where a layer's rule leaves an axis unknown, since shared memory needs sizes
 */
export function inferShapes(
  graph: ModelGraph,
  inputShapes: readonly (readonly number[])[],
): readonly (readonly number[])[] {
  const shapes: (readonly number[])[] = [];
  for (const [index, value] of graph.inputs.entries()) shapes[value] = inputShapes[index]!;
  for (const node of graph.nodes) {
    const { layer, name } = graph.layers[node.layer]!;
    const inputs = node.inputs.map(id => [...shapes[id]!]);
    const computed = layer.computeOutputShape(inputs.length === 1 ? inputs[0]! : inputs);
    const outputs = (Array.isArray(computed[0]) ? computed : [computed]) as tf.Shape[];
    for (const [index, id] of node.outputs.entries()) {
      const shape = outputs[index]!.map((size, axis) => size ?? (axis === 0 ? inputs[0]![0]! : null));
      if (shape.includes(null)) {
        throw new ModelError(
          `The output shape [${shape}] of layer '${name}' is not known for inputs of shape [${inputs.join('], [')}]: its ` +
            'computeOutputShape() leaves an axis open.',
          name,
        );
      }
      shapes[id] = shape as number[];
    }
  }
  return shapes;
}
