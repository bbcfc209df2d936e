/** One reading of a dataset, mini-batch by mini-batch. */

import { ConfigurationError } from '../../../errors.js';
import { tf } from '../../../tf.js';
import type { MiniBatch } from '../mini-batch.js';
import type { StopRequest } from '../stop-request.js';
import type { ClassWeight } from './class-weights.js';
import { type BatchIterator, iterate } from './dataset.js';
import { readDatasetBatch } from './dataset-batch.js';
import type { DataOwner } from './user-data.js';

export class DatasetReader {
  readonly #path: string;
  readonly #iterator: BatchIterator;
  readonly #owner: DataOwner;
  readonly #stop: StopRequest;
  #isReading = false;
  #isExhausted = false;

  private constructor(path: string, iterator: BatchIterator, owner: DataOwner, stop: StopRequest) {
    this.#path = path;
    this.#iterator = iterator;
    this.#owner = owner;
    this.#stop = stop;
  }

  /** @param path the argument that the dataset came in, for messages */
  static async open(
    path: string,
    dataset: unknown,
    owner: DataOwner,
    stop: StopRequest,
  ): Promise<DatasetReader> {
    return new DatasetReader(path, await iterate(path, dataset), owner, stop);
  }

  /**
   * The next mini-batch; `undefined` at the end, and when a stop is requested while the dataset is waited for.
   *
   * @param place the mini-batch's place, for messages
   */
  async read(
    place: string,
    classWeights: readonly (ClassWeight | undefined)[] = [],
  ): Promise<MiniBatch | undefined> {
    // As in tfjs, an empty value that is not the end is passed over.
    while (!this.#isExhausted) {
      const result = await this.#next();
      if (result === undefined) return undefined;
      this.#isExhausted = result.done === true;
      const { value } = result;
      if (value !== undefined && value !== null) {
        return readDatasetBatch(this.#owner, value, `${this.#path}, ${place}`, classWeights);
      }
    }
    return undefined;
  }

  async #next(): Promise<IteratorResult<unknown> | undefined> {
    this.#isReading = true;
    const arriving = Promise.resolve(this.#iterator.next()).finally(() => {
      this.#isReading = false;
    });
    const result = await this.#stop.unlessRequested(arriving);
    if (this.#stop.isRequested) {
      // Nobody wants what comes now, but its tensors are ours.
      arriving.then(late => tf.dispose(late.value as tf.TensorContainer)).catch(() => {});
      return undefined;
    }
    if (typeof result === 'object' && result !== null) return result;
    throw new ConfigurationError(
      this.#path,
      `The iterator of '${this.#path}' must give { value, done }, but gave ${result}.`,
    );
  }

  /** Lets a generator clean up. One that is stuck is not waited for. */
  async close(): Promise<void> {
    if (this.#isExhausted || this.#iterator.return === undefined) return;
    this.#isExhausted = true;
    const closing = Promise.resolve(this.#iterator.return());
    if (this.#isReading) closing.catch(() => {});
    else await closing;
  }
}
