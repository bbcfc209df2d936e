/**
 * Tensors that lie in memory that threads share, for good: what one thread writes there, all of them read. Only where tensors alias
 * memory.
 */
import type * as tf from '@tensorflow/tfjs';

/** Where a weight lies that replicas share. Compared as an object: one place, one array. */
export type Place = Float32Array<SharedArrayBuffer>;

/** On the data, which clones share. A property of its own for the reason that `PRODUCT` is one. */
const PLACE = Symbol('place');

interface PlacedData {
  [PLACE]?: Place;
}

/** Notes that `tensor` reads `place`. */
export function markPlaced({ dataId }: tf.Tensor, place: Place): void {
  (dataId as PlacedData)[PLACE] = place;
}

export function liesIn({ dataId }: tf.Tensor, place: Place): boolean {
  return (dataId as PlacedData)[PLACE] === place;
}
