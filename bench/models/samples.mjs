// @ts-check
import * as tf from '@tensorflow/tfjs';

/**
 * Random samples and targets of the right shapes, `steps` mini-batches of them.
 *
 * @param {tf.LayersModel} model
 * @param {import('./build.mjs').ModelSpec} spec
 * @param {number} steps
 */
export function samplesFor(model, spec, steps) {
  return tf.tidy(() => {
    const count = spec.batch * steps;
    const [input, output] = /** @type {[tf.SymbolicTensor, tf.SymbolicTensor]} */ ([
      model.inputs[0],
      model.outputs[0],
    ]);
    const shape = [count, .../** @type {number[]} */ (input.shape.slice(1))];
    const takesTokens = model.layers.some(layer => layer.getClassName() === 'Embedding');
    const classes = /** @type {number} */ (output.shape.at(-1));
    return {
      x: takesTokens ? tf.randomUniform(shape, 0, 500, 'int32') : tf.randomNormal(shape),
      y:
        classes > 1
          ? tf.cast(
              tf.oneHot(tf.mod(tf.range(0, count, 1, 'int32'), tf.scalar(classes, 'int32')), classes),
              'float32',
            )
          : tf.randomUniform([count, 1]),
    };
  });
}
