/**
 * tfjs's callbacks, in tfjs's order: the running means of an epoch first, the user's callbacks, the history last.
 *
 * The class that keeps the running means is not exported by tfjs; `EpochMeans` does the same arithmetic.
 */

import { ConfigurationError } from '../../errors.js';
import { tf } from '../../tf.js';
import { explainCopies, isOfClassNamed } from '../../tfjs/copies.js';
import { baseCallbackClass } from '../../tfjs/internals.js';

export type Logs = Record<string, number>;

/** The hooks of a tfjs callback. */
export interface Callback {
  setParams(params: object): void;
  setModel(model: tf.LayersModel): void;
  onTrainBegin(logs?: Logs): Promise<void>;
  onTrainEnd(logs?: Logs): Promise<void>;
  onEpochBegin(epoch: number, logs?: Logs): Promise<void>;
  onEpochEnd(epoch: number, logs?: Logs): Promise<void>;
  onBatchBegin(batch: number, logs?: Logs): Promise<void>;
  onBatchEnd(batch: number, logs?: Logs): Promise<void>;
}

/** What `fit` takes as callbacks. A `tf.Callback` has the hooks of `CustomCallbackArgs`, so its type is not named. */
export type UserCallbacks = tf.CustomCallbackArgs | readonly tf.CustomCallbackArgs[] | undefined;

/** Turns configurations into callbacks, as `fit` does. */
export function standardizeCallbacks(
  callbacks: UserCallbacks,
  yieldEvery: tf.ModelFitArgs['yieldEvery'],
): Callback[] {
  if (callbacks === undefined || callbacks === null) return [];
  const Base = baseCallbackClass();
  const list = Array.isArray(callbacks) ? callbacks : [callbacks];
  return list.map(callback => {
    if (callback instanceof Base) return callback as Callback;
    if (isOfClassNamed(callback, Base.name)) {
      // Its hooks would be called without the object that they belong to.
      throw new ConfigurationError(
        'callbacks',
        `A callback is a ${(callback as object).constructor.name} of another copy of TensorFlow.js than the one that ` +
          `Millrace uses.${explainCopies()}`,
      );
    }
    if (typeof callback !== 'object' || callback === null || Array.isArray(callback)) {
      throw new ConfigurationError(
        'callbacks',
        `A callback takes an object with hooks such as onEpochEnd, or a tf.Callback, but got ${Array.isArray(callback) ? 'a list' : callback === null ? 'null' : typeof callback}.`,
      );
    }
    const custom = callback as tf.CustomCallbackArgs;
    if (yieldEvery === 'never' && custom.onYield !== undefined && custom.onYield !== null) {
      throw new ConfigurationError(
        'yieldEvery',
        "'yieldEvery' is 'never', but a callback has an onYield hook, which would never be called. Leave one of them out.",
      );
    }
    return new tf.CustomCallback(custom, yieldEvery) as unknown as Callback;
  });
}

interface CustomHooks {
  batchBegin?: unknown;
  batchEnd?: unknown;
  epochBegin?: unknown;
  epochEnd?: unknown;
  yield?: unknown;
}

function hasHook(
  callback: Callback,
  custom: readonly (keyof CustomHooks)[],
  methods: readonly (keyof Callback)[],
): boolean {
  if (callback instanceof tf.CustomCallback) {
    return custom.some(hook => (callback as unknown as CustomHooks)[hook] !== undefined);
  }
  const base = baseCallbackClass().prototype as Callback;
  return methods.some(method => callback[method] !== base[method]);
}

/**
 * A callback of Millrace's own says under this key when it reads the model's weights. Anybody else's may do so in every
 * hook that it has.
 */
export const READS_WEIGHTS = Symbol('millrace.readsWeights');

function declaredReads(callback: Callback): 'never' | 'after-epochs' | undefined {
  return (callback as { [READS_WEIGHTS]?: 'never' | 'after-epochs' })[READS_WEIGHTS];
}

/** Whether a callback looks at every batch: training then waits for it, with the model's weights up to date. */
export function watchesBatches(callbacks: readonly Callback[]): boolean {
  return callbacks.some(
    callback =>
      declaredReads(callback) === undefined &&
      hasHook(callback, ['batchBegin', 'batchEnd', 'yield'], ['onBatchBegin', 'onBatchEnd']),
  );
}

/** Whether a callback looks at epochs and may read the model's weights there. */
export function watchesEpochs(callbacks: readonly Callback[]): boolean {
  return callbacks.some(
    callback =>
      declaredReads(callback) !== 'never' &&
      hasHook(callback, ['epochBegin', 'epochEnd'], ['onEpochBegin', 'onEpochEnd']),
  );
}

/** Means of an epoch, weighted by the size of each batch. */
export class EpochMeans {
  readonly #totals = new Map<string, number>();
  #seen = 0;

  add(logs: Logs): void {
    const { size = 0 } = logs;
    this.#seen += size;
    for (const [key, value] of Object.entries(logs)) {
      this.#totals.set(key, (this.#totals.get(key) ?? 0) + value * size);
    }
  }

  /** Adds the means of `names` to an epoch's logs. */
  writeTo(logs: Logs, names: readonly string[]): void {
    for (const name of names) {
      const total = this.#totals.get(name);
      if (total !== undefined) logs[name] = total / this.#seen;
    }
  }
}
