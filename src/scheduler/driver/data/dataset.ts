/** Anything that gives mini-batches one after another: a `tf.data` dataset, an iterable, a generator. */
import { ConfigurationError } from '../../../errors.js';
import type { UserSampleWeights } from './sample-weights.js';
import { nameOf, type UserTensors } from './tensors.js';

/** What a dataset yields. The tensors are disposed once they are read, as in tfjs. */
export interface DatasetBatch {
  readonly xs: UserTensors;
  readonly ys: UserTensors;
  /** What each sample counts in the loss; tfjs has no such thing. */
  readonly sampleWeight?: UserSampleWeights;
}

/** Gives one mini-batch after another, until it is done. */
export interface DatasetIterator {
  /** The next mini-batch, or that there is none. */
  next(): Promise<IteratorResult<unknown, unknown>>;
}

/** What tfjs calls a dataset: `tf.data.Dataset` and everything of its shape. */
export interface DatasetLike {
  /** Begins a pass through the mini-batches. */
  iterator(): Promise<DatasetIterator>;
  /** Mini-batches, where known. */
  readonly size?: number | null;
}

/** One source of mini-batches. */
export type Batches =
  | DatasetLike
  | AsyncIterable<DatasetBatch, unknown, unknown>
  | Iterable<DatasetBatch, unknown, unknown>
  | AsyncIterator<DatasetBatch, unknown, unknown>
  | DatasetIterator;

/** A dataset, an iterable, or a function such as a generator that gives a fresh one whenever it is called. */
export type UserDataset = Batches | (() => Batches | Promise<Batches>);

export interface BatchIterator {
  next(): PromiseLike<IteratorResult<unknown>> | IteratorResult<unknown>;
  return?(): unknown;
}

/** Starts reading a dataset: from its beginning, unless it can be read only once. */
export async function iterate(path: string, dataset: unknown): Promise<BatchIterator> {
  const batches: unknown = typeof dataset === 'function' ? await dataset() : dataset;
  if (isObject(batches)) {
    if (typeof batches['iterator'] === 'function') return (batches as unknown as DatasetLike).iterator();
    // An iterator first: a generator object is both.
    if (typeof batches['next'] === 'function') return batches as unknown as BatchIterator;
    if (Symbol.asyncIterator in batches) {
      return (batches as unknown as AsyncIterable<unknown>)[Symbol.asyncIterator]() as BatchIterator;
    }
    if (Symbol.iterator in batches) {
      return (batches as unknown as Iterable<unknown>)[Symbol.iterator]() as BatchIterator;
    }
  }
  throw notADataset(path, batches);
}

/** Refuses what is no dataset before anything is started. */
export function checkDataset(path: string, dataset: unknown): asserts dataset is UserDataset {
  if (typeof dataset !== 'function' && !isDataset(dataset)) throw notADataset(path, dataset);
}

/** Whether a value is a dataset rather than tensors: a list is not taken for one. */
export function isDataset(value: unknown): boolean {
  if (typeof value === 'function') return true;
  return (
    isObject(value) &&
    (typeof value['iterator'] === 'function' ||
      typeof value['next'] === 'function' ||
      Symbol.asyncIterator in value ||
      Symbol.iterator in value)
  );
}

/** Whether a second look begins at the beginning again; a generator object gives what it has once. */
export function isRestartable(dataset: UserDataset): boolean {
  return typeof dataset === 'function' || 'iterator' in dataset || !('next' in dataset);
}

/** Mini-batches of one pass, where the dataset tells. */
export function sizeOf(dataset: UserDataset): number | undefined {
  const size: unknown = typeof dataset === 'object' && 'size' in dataset ? dataset.size : undefined;
  return Number.isFinite(size) ? (size as number) : undefined;
}

function isObject(value: unknown): value is Record<PropertyKey, unknown> {
  return typeof value === 'object' && value !== null;
}

function notADataset(path: string, value: unknown): ConfigurationError {
  return new ConfigurationError(
    path,
    `'${path}' takes a tf.data.Dataset, an object with an iterator() method, an (async) iterable of { xs, ys }, or a generator ` +
      `function, but got ${nameOf(value)}.`,
  );
}
