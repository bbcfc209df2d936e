/**
 * tfjs's update rules in terms of the routines in `kernels/simd/optimizer-steps.ts`: how many slots each has, and the
 * scalars of one step. A routine takes scalars as float32, so what tfjs computes in double precision may stay so here.
 *
 * Left to tfjs: Adadelta, Adamax and centered RMSProp.
 */
import { tf } from '../../../tf.js';
import { RunningPower } from '../../running-power.js';
import type { OptimizerStepName } from '../kernels/simd/optimizer-steps.js';

export interface Rule {
  readonly step: OptimizerStepName;
  /** The initial value of each slot. */
  readonly slots: readonly number[];
  /** The scalars of the next step, in the order of the routine. */
  begin(learningRate: number): readonly number[];
  /** Told when training goes on from saved slots. */
  resume(iterations: number): void;
}

type Config = Readonly<Record<string, number | boolean>>;
type MakeRule = (config: Config) => Rule | undefined;

/** Of rules whose scalars are the same in every step. */
const resume = (): void => {};

const sgd: MakeRule = () => ({ step: 'sgdStep', slots: [], begin: rate => [-rate], resume });

const momentum: MakeRule = config => ({
  step: config['useNesterov'] === true ? 'nesterovStep' : 'momentumStep',
  slots: [0],
  begin: rate => [-rate, config['momentum'] as number],
  resume,
});

const adagrad: MakeRule = config => ({
  step: 'adagradStep',
  slots: [config['initialAccumulatorValue'] as number],
  begin: rate => [-rate, tf.backend().epsilon()],
  resume,
});

const rmsprop: MakeRule = config => {
  if (config['centered'] === true) return undefined;
  const [decay, factor, epsilon] = ['decay', 'momentum', 'epsilon'].map(key => config[key] as number);
  return {
    step: 'rmspropStep',
    slots: [0, 0],
    begin: rate => [rate, decay!, 1 - decay!, factor!, epsilon!],
    resume,
  };
};

const adam: MakeRule = config => {
  const [beta1, beta2] = [config['beta1'] as number, config['beta2'] as number];
  const [power1, power2] = [new RunningPower(beta1), new RunningPower(beta2)];
  return {
    step: 'adamStep',
    slots: [0, 0],
    begin(rate) {
      const corrections = [1 - power1.value, 1 - power2.value];
      power1.advance();
      power2.advance();
      return [-rate, beta1, 1 - beta1, beta2, 1 - beta2, ...corrections, config['epsilon'] as number];
    },
    resume(iterations) {
      power1.resume(iterations);
      power2.resume(iterations);
    },
  };
};

/** By class, not by name: a user's subclass has rules of its own. */
const RULES: ReadonlyMap<unknown, MakeRule> = new Map<unknown, MakeRule>([
  [tf.SGDOptimizer, sgd],
  [tf.MomentumOptimizer, momentum],
  [tf.AdagradOptimizer, adagrad],
  [tf.RMSPropOptimizer, rmsprop],
  [tf.AdamOptimizer, adam],
]);

export function ruleFor(optimizer: tf.Optimizer): Rule | undefined {
  return RULES.get(optimizer.constructor)?.(optimizer.getConfig() as Config);
}
