/**
 * tfjs's update rules as Millrace's own ops (`src/kernels/optimizers.cc`), which write weights and slots where they lie. They are tfjs's
 * formulas, so slots hold tfjs's values.
 *
 * Left to tfjs is what the rules of TensorFlow's ops leave to it, so that a model trains alike with the ops and without.
 */
import { tf } from '../../../tf.js';
import { RunningPower } from '../../running-power.js';
import { rawOps } from '../raw-ops.js';
import { type Config, type MakeRule, type Rule, type Rules, type Slot, type Update, ZERO } from './rule.js';

function update(op: string, numbers: number[]): Update {
  const given = tf.tensor1d(numbers, 'float32');
  return (weight, slots, gradient) => {
    rawOps().many(op, [], [weight, ...slots, gradient, given], 0);
  };
}

const numberOf = (config: Config, name: string): number => config[name] as number;

/** A rule that counts no steps. */
function uncounted(slots: readonly Slot[], op: string, numbers: (learningRate: number) => number[]): Rule {
  return {
    slots,
    isReadable: true,
    begin: (_, learningRate) => update(op, numbers(learningRate)),
    resume: () => {},
  };
}

const sgd: MakeRule = () => uncounted([], 'MillraceSgd', learningRate => [-learningRate]);

const momentum: MakeRule = config => {
  const op = config['useNesterov'] === true ? 'MillraceNesterov' : 'MillraceMomentum';
  return uncounted([ZERO], op, learningRate => [numberOf(config, 'momentum'), -learningRate]);
};

const adagrad: MakeRule = config => {
  const slot = { ...ZERO, initial: numberOf(config, 'initialAccumulatorValue') };
  return uncounted([slot], 'MillraceAdagrad', learningRate => [-learningRate, tf.backend().epsilon()]);
};

const rmsprop: MakeRule = config => {
  if (config['centered'] === true) return undefined;
  const [decay, factor, epsilon] = ['decay', 'momentum', 'epsilon'].map(name => numberOf(config, name));
  return uncounted([ZERO, ZERO], 'MillraceRmsprop', learningRate => [
    decay!,
    1 - decay!,
    factor!,
    learningRate,
    epsilon!,
  ]);
};

const adam: MakeRule = config => {
  const [beta1, beta2] = [numberOf(config, 'beta1'), numberOf(config, 'beta2')];
  const [power1, power2] = [new RunningPower(beta1), new RunningPower(beta2)];
  return {
    slots: [ZERO, ZERO],
    isReadable: true,
    begin(_, learningRate) {
      const rate = -learningRate / (1 - power1.value);
      const correction = 1 / Math.sqrt(1 - power2.value);
      power1.advance();
      power2.advance();
      const epsilon = numberOf(config, 'epsilon');
      return update('MillraceAdam', [beta1, 1 - beta1, beta2, 1 - beta2, rate, correction, epsilon]);
    },
    resume(iterations) {
      power1.resume(iterations);
      power2.resume(iterations);
    },
  };
};

const adamax: MakeRule = (config): Rule => {
  const beta1 = numberOf(config, 'beta1');
  const power = new RunningPower(beta1);
  return {
    slots: [ZERO, ZERO],
    isReadable: false,
    begin(iterations, learningRate) {
      const decayed = learningRate / (1 + iterations * numberOf(config, 'decay'));
      const rate = -decayed / (1 - power.value);
      power.advance();
      const [beta2, epsilon] = [numberOf(config, 'beta2'), numberOf(config, 'epsilon')];
      return update('MillraceAdamax', [beta1, 1 - beta1, beta2, rate, epsilon]);
    },
    resume: iterations => power.resume(iterations),
  };
};

export const OWN_RULES: Rules = { sgd, momentum, adagrad, rmsprop, adam, adamax };
