// @ts-check
/** The layers of a transformer that tfjs lacks, as a user would write them. Workers import this module through `setup`. */
import * as tf from '@tensorflow/tfjs';

/** Multi-head self-attention with its projections: [batch, time, width] → the same. */
export class SelfAttention extends tf.layers.Layer {
  static className = 'BenchSelfAttention';

  /** @param {{ heads: number, name?: string }} config */
  constructor(config) {
    super(config);
    this.heads = config.heads;
  }

  /** @override @param {any} inputShape */
  build(inputShape) {
    const width = /** @type {number} */ (inputShape[inputShape.length - 1]);
    const initializer = tf.initializers.glorotUniform({});
    const zeros = tf.initializers.zeros();
    this.projection = this.addWeight('projection', [width, 3 * width], 'float32', initializer);
    this.projectionBias = this.addWeight('projectionBias', [3 * width], 'float32', zeros);
    this.output_ = this.addWeight('output', [width, width], 'float32', initializer);
    this.outputBias = this.addWeight('outputBias', [width], 'float32', zeros);
    this.built = true;
  }

  /** @override @param {any} inputShape */
  computeOutputShape(inputShape) {
    return inputShape;
  }

  /** @override @param {any} inputs */
  call(inputs) {
    return tf.tidy(() => {
      const x = Array.isArray(inputs) ? inputs[0] : inputs;
      const [batch, time, width] = x.shape;
      const size = width / this.heads;
      const rows = tf.reshape(x, [batch * time, width]);
      const projected = tf.add(
        tf.matMul(rows, /** @type {any} */ (this.projection).read()),
        /** @type {any} */ (this.projectionBias).read(),
      );
      /** @param {tf.Tensor} part */
      const asHeads = part => tf.transpose(tf.reshape(part, [batch, time, this.heads, size]), [0, 2, 1, 3]);
      const [q, k, v] = tf.split(projected, 3, 1).map(asHeads);
      const scores = tf.softmax(
        tf.mul(tf.matMul(/** @type {any} */ (q), /** @type {any} */ (k), false, true), 1 / Math.sqrt(size)),
      );
      const mixed = tf.reshape(tf.transpose(tf.matMul(scores, /** @type {any} */ (v)), [0, 2, 1, 3]), [
        batch * time,
        width,
      ]);
      const out = tf.add(
        tf.matMul(/** @type {any} */ (mixed), /** @type {any} */ (this.output_).read()),
        /** @type {any} */ (this.outputBias).read(),
      );
      return tf.reshape(out, [batch, time, width]);
    });
  }

  /** @override */
  getConfig() {
    return { ...super.getConfig(), heads: this.heads };
  }
}

/** Adds a learnt vector to each position of [batch, time, width]. */
export class Positions extends tf.layers.Layer {
  static className = 'BenchPositions';

  /** @override @param {any} inputShape */
  build(inputShape) {
    const [, time, width] = inputShape;
    const initializer = tf.initializers.randomUniform({ minval: -0.05, maxval: 0.05 });
    this.table = this.addWeight('table', [time, width], 'float32', initializer);
    this.built = true;
  }

  /** @override @param {any} inputShape */
  computeOutputShape(inputShape) {
    return inputShape;
  }

  /** @override @param {any} inputs */
  call(inputs) {
    const x = Array.isArray(inputs) ? inputs[0] : inputs;
    return tf.add(x, /** @type {any} */ (this.table).read());
  }
}

tf.serialization.registerClass(SelfAttention);
tf.serialization.registerClass(Positions);
