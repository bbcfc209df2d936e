/** Sorts values into the buckets that TensorBoard's histograms are drawn from. */

/** As many as TensorFlow's own summaries have. */
const BUCKET_COUNT = 30;

export interface Bucket {
  readonly left: number;
  readonly right: number;
  readonly count: number;
}

/**
 * Buckets of equal width from the least to the greatest value: none without values, and one of width 1 where all are the
 * same. What is no number, or infinite, is left out, since it belongs to no bucket.
 */
export function bucketsOf(values: ArrayLike<number>): readonly Bucket[] {
  let [least, greatest, total] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];
  for (let index = 0; index < values.length; index++) {
    const value = values[index]!;
    if (!Number.isFinite(value)) continue;
    least = Math.min(least, value);
    greatest = Math.max(greatest, value);
    total++;
  }
  if (total === 0) return [];
  if (least === greatest) return [{ left: least - 0.5, right: least + 0.5, count: total }];
  const width = (greatest - least) / BUCKET_COUNT;
  const counts = new Float64Array(BUCKET_COUNT);
  for (let index = 0; index < values.length; index++) {
    const value = values[index]!;
    // The greatest value lies on the edge behind the last bucket.
    if (Number.isFinite(value)) counts[Math.min(Math.floor((value - least) / width), BUCKET_COUNT - 1)]!++;
  }
  return Array.from(counts, (count, bucket) => ({
    left: least + bucket * width,
    right: bucket === BUCKET_COUNT - 1 ? greatest : least + (bucket + 1) * width,
    count,
  }));
}
