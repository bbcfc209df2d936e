/** What an update rule is to the optimizer that runs it, whatever its ops. */
import { tf } from '../../../tf.js';

/** Runs one variable's op, which is given weight and slots as their memory has them: as a resource's handle, or the tensor itself. */
export type Update = (weight: tf.Tensor, slots: readonly tf.Tensor[], gradient: tf.Tensor) => void;

export interface Slot {
  /** tfjs's initial value. */
  readonly initial: number;
  /** What the memory holds is tfjs's value times `scale` plus `offset`. */
  readonly scale: number;
  readonly offset: number;
}

export interface Rule {
  readonly slots: readonly Slot[];
  /** Whether tfjs can save the slots. */
  readonly isReadable: boolean;
  /** Begins step `iterations` + 1; the tensors that it makes are disposed after the step. */
  begin(iterations: number, learningRate: number): Update;
  /** Told when training goes on from saved slots. */
  resume(iterations: number): void;
}

export type Config = Readonly<Record<string, number | boolean>>;
export type MakeRule = (config: Config) => Rule | undefined;

/** Of tfjs's optimizers that have a rule here. */
export interface Rules {
  readonly sgd: MakeRule;
  readonly momentum: MakeRule;
  readonly adagrad: MakeRule;
  readonly rmsprop: MakeRule;
  readonly adam: MakeRule;
  readonly adamax: MakeRule;
}

/** By class, not by name: a user's subclass has rules of its own. */
const RULE_OF: ReadonlyMap<unknown, keyof Rules> = new Map<unknown, keyof Rules>([
  [tf.SGDOptimizer, 'sgd'],
  [tf.MomentumOptimizer, 'momentum'],
  [tf.AdagradOptimizer, 'adagrad'],
  [tf.RMSPropOptimizer, 'rmsprop'],
  [tf.AdamOptimizer, 'adam'],
  [tf.AdamaxOptimizer, 'adamax'],
]);

export const ZERO: Slot = { initial: 0, scale: 1, offset: 0 };

export function ruleFor(optimizer: tf.Optimizer, rules: Rules): Rule | undefined {
  const name = RULE_OF.get(optimizer.constructor);
  return name && rules[name](optimizer.getConfig() as Config);
}
