/**
 * Where replicas keep the weights that one of them steps, or each some rows of, and all of them read. Plain data: it crosses
 * threads shared.
 */
export interface SharedWeights {
  readonly memory: WebAssembly.Memory;
  /** Byte offset of every weight that is stepped, by `WeightRef.order`; 64-byte aligned. */
  readonly byteOffsets: ReadonlyMap<number, number>;
}
