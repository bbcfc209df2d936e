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
    const classes = /** @type {number} */ (output.shape.at(-1));
    return {
      x:
        spec.vocabulary === undefined
          ? tf.randomNormal(shape)
          : tf.randomUniform(shape, 0, spec.vocabulary, 'int32'),
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
