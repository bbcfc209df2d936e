/** How shared memory is aligned: the one number that rings, control words, messages and slots agree on. */

/** A cache line, and the alignment at which TensorFlow uses a typed array's memory in place. */
export const ALIGNMENT_BYTES = 64;

/** 32-bit words in a cache line: words that different threads write are kept this far apart. */
export const LINE_WORDS = ALIGNMENT_BYTES / Int32Array.BYTES_PER_ELEMENT;

/** The next multiple of `alignment`, which is a power of two. Exact beyond 32 bits. */
export function alignUp(value: number, alignment: number = ALIGNMENT_BYTES): number {
  return Math.ceil(value / alignment) * alignment;
}
