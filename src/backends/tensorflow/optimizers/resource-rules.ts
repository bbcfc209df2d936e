/**
 * tfjs's update rules in terms of TensorFlow's ops. Where an op's mathematics is not tfjs's, what it is given makes up
 * for it; `test/backends/fused/optimizers.test.ts` holds each rule against tfjs with gradients from 1e-2 to 1e-8.
 *
 * Left to tfjs: Adadelta (tfjs divides by the accumulator before its update, TensorFlow by the one after it) and centered
 * RMSProp (tfjs takes the root of a negative number, and NaN is what a user would get plainly).
 */
import { tf } from '../../../tf.js';
import { RunningPower } from '../../running-power.js';
import { type RawOps, rawOps } from '../raw-ops.js';
import { type MakeRule, type Rules, ZERO } from './rule.js';

const PLAIN = { slots: [], isReadable: true, resume: () => {} } as const;

function run(op: string, attributes: Parameters<RawOps['many']>[1], inputs: tf.Tensor[]): void {
  rawOps().many(op, attributes, inputs, 0);
}

function locking(raw: RawOps): ReturnType<RawOps['bool']>[] {
  return [raw.type('T'), raw.bool('use_locking', false)];
}

const sgd: MakeRule = () => ({
  ...PLAIN,
  begin(_, learningRate) {
    const rate = tf.scalar(learningRate);
    const attributes = locking(rawOps());
    return (weight, _slots, gradient) =>
      run('ResourceApplyGradientDescent', attributes, [weight, rate, gradient]);
  },
});

const momentum: MakeRule = config => ({
  ...PLAIN,
  slots: [ZERO],
  begin(_, learningRate) {
    const rate = tf.scalar(learningRate);
    const factor = tf.scalar(config['momentum'] as number);
    const raw = rawOps();
    const attributes = [...locking(raw), raw.bool('use_nesterov', config['useNesterov'] === true)];
    return (weight, [accumulation], gradient) =>
      run('ResourceApplyMomentum', attributes, [weight, accumulation!, rate, gradient, factor]);
  },
});

/** TensorFlow's op has no epsilon under the root: the resource holds the accumulator with epsilon added. */
const adagrad: MakeRule = config => ({
  ...PLAIN,
  slots: [{ initial: config['initialAccumulatorValue'] as number, scale: 1, offset: tf.backend().epsilon() }],
  begin(_, learningRate) {
    const rate = tf.scalar(learningRate);
    const raw = rawOps();
    const attributes = [...locking(raw), raw.bool('update_slots', true)];
    return (weight, [accumulator], gradient) =>
      run('ResourceApplyAdagrad', attributes, [weight, accumulator!, rate, gradient]);
  },
});

const rmsprop: MakeRule = config =>
  config['centered'] === true
    ? undefined
    : {
        ...PLAIN,
        slots: [ZERO, ZERO],
        begin(_, learningRate) {
          const rate = tf.scalar(learningRate);
          const decay = tf.scalar(config['decay'] as number);
          const factor = tf.scalar(config['momentum'] as number);
          const epsilon = tf.scalar(config['epsilon'] as number);
          const attributes = locking(rawOps());
          return (weight, [meanSquare, moment], gradient) =>
            run('ResourceApplyRMSProp', attributes, [
              weight,
              meanSquare!,
              moment!,
              rate,
              decay,
              factor,
              epsilon,
              gradient,
            ]);
        },
      };

/**
 * TensorFlow adds epsilon before the second moment's correction, tfjs after it: epsilon shrinks with the correction. And
 * TensorFlow takes 1 − β in float32, 5e-5 off for β = 0.999, where tfjs takes it exactly: its moments are larger by that,
 * and the rate and epsilon make up for it.
 */
const adam: MakeRule = config => {
  const [beta1, beta2] = [config['beta1'] as number, config['beta2'] as number];
  const [scale1, scale2] = [beta1, beta2].map(beta => (1 - Math.fround(beta)) / (1 - beta)) as [
    number,
    number,
  ];
  const power1 = new RunningPower(beta1);
  const power2 = new RunningPower(beta2);
  return {
    ...PLAIN,
    slots: [
      { ...ZERO, scale: scale1 },
      { ...ZERO, scale: scale2 },
    ],
    begin(_, learningRate) {
      const rate = tf.scalar((learningRate * Math.sqrt(scale2)) / scale1);
      const factors = [tf.scalar(beta1), tf.scalar(beta2)];
      const powers = [tf.scalar(power1.value), tf.scalar(power2.value)];
      const epsilon = tf.scalar((config['epsilon'] as number) * Math.sqrt((1 - power2.value) * scale2));
      power1.advance();
      power2.advance();
      const raw = rawOps();
      const attributes = [...locking(raw), raw.bool('use_nesterov', false)];
      return (weight, slots, gradient) =>
        run('ResourceApplyAdam', attributes, [
          weight,
          ...slots,
          ...powers,
          rate,
          ...factors,
          epsilon,
          gradient,
        ]);
    },
    resume(iterations) {
      power1.resume(iterations);
      power2.resume(iterations);
    },
  };
};

const adamax: MakeRule = config => {
  const power = new RunningPower(config['beta1'] as number);
  return {
    ...PLAIN,
    slots: [ZERO, ZERO],
    isReadable: false,
    begin(iterations, learningRate) {
      const rate = tf.scalar(learningRate / (1 + iterations * (config['decay'] as number)));
      const beta1 = tf.scalar(config['beta1'] as number);
      const beta2 = tf.scalar(config['beta2'] as number);
      const epsilon = tf.scalar(config['epsilon'] as number);
      const first = tf.scalar(power.value);
      power.advance();
      const attributes = locking(rawOps());
      return (weight, [m, v], gradient) =>
        run('ResourceApplyAdaMax', attributes, [
          weight,
          m!,
          v!,
          first,
          rate,
          beta1,
          beta2,
          epsilon,
          gradient,
        ]);
    },
    resume: iterations => power.resume(iterations),
  };
};

export const RESOURCE_RULES: Rules = { sgd, momentum, adagrad, rmsprop, adam, adamax };
