/** Learning-rate schedules: a function that is asked before every mini-batch. */
import type * as tf from '@tensorflow/tfjs';
import { ConfigurationError } from '../../../errors.js';
import { learningRateOf, setLearningRate } from '../../../tfjs/internals.js';

/** What a schedule is told about the mini-batch that it gives the rate for. */
export interface LearningRateQuery {
  readonly epoch: number;
  /** Index of the mini-batch in its epoch. */
  readonly batch: number;
  /** Steps that the optimizer has taken since the model was compiled, earlier fits included. */
  readonly step: number;
  /** The optimizer's rate at present. */
  readonly learningRate: number;
}

/** Gives the learning rate for a mini-batch. */
export type LearningRateSchedule = (query: LearningRateQuery) => number;

/** Gives the optimizer the rate that the schedule wants; callbacks and plain tfjs see it there. */
export function applySchedule(
  schedule: LearningRateSchedule,
  optimizer: tf.Optimizer,
  place: Omit<LearningRateQuery, 'learningRate'>,
): void {
  const rate: unknown = schedule({ ...place, learningRate: learningRateOf(optimizer) });
  if (typeof rate !== 'number' || !Number.isFinite(rate) || rate < 0) {
    throw new ConfigurationError(
      'learningRateSchedule',
      `'learningRateSchedule' must give a number of at least 0, but gave ${String(rate)} for batch ${place.batch} of epoch ` +
        `${place.epoch}.`,
    );
  }
  setLearningRate(optimizer, rate);
}
