/** Element types that cross threads. tfjs keeps booleans in bytes; complex and string tensors never cross. */
export type ElementType = 'float32' | 'int32' | 'bool';

export const ELEMENT_BYTES: Readonly<Record<ElementType, number>> = { float32: 4, int32: 4, bool: 1 };

/** What a message says of one tensor before its data. */
export interface TensorHeader {
  readonly dtype: ElementType;
  readonly shape: readonly number[];
}

export type TensorData = Float32Array | Int32Array | Uint8Array;
