/**
 * Tensors that lie in memory that threads share, for good: what one thread writes there, all of them read. Only where tensors alias
 * memory.
 */
import type * as tf from '@tensorflow/tfjs';
import { StateError } from '../errors.js';
import { ALIGNMENT_BYTES } from '../protocol/alignment.js';

/** Where a weight lies that replicas share. Compared as an object: one place, one array. */
export type Place = Float32Array<SharedArrayBuffer>;

/**
 * @param buffer memory that threads share
 * @throws StateError where a tensor would not read the place but take a copy of it
 */
export function placeIn(buffer: SharedArrayBuffer, byteOffset: number, elements: number): Place {
  if (byteOffset % ALIGNMENT_BYTES !== 0)
    throw new StateError(`No tensor can read shared memory from byte ${byteOffset} on.`);
  return new Float32Array(buffer, byteOffset, elements);
}

/** A property of the data, which clones share: a map to look it up in would cost more than most of what is asked. */
const PLACE = Symbol('place');

interface PlacedData {
  [PLACE]?: Place;
}

/** Notes that `tensor` reads `place`. */
export function markPlaced({ dataId }: tf.Tensor, place: Place): void {
  (dataId as PlacedData)[PLACE] = place;
}

export function isPlaced({ dataId }: tf.Tensor): boolean {
  return (dataId as PlacedData)[PLACE] !== undefined;
}

export function liesIn({ dataId }: tf.Tensor, place: Place): boolean {
  return (dataId as PlacedData)[PLACE] === place;
}
