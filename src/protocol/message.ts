/**
 * Layout of one message in a slot: a short list of tensors, some of which may be absent.
 *
 *     word 0           ENTRY_COUNT
 *     word 1           TAG               any number of the sender's, for the receiver to compare
 *     words 2, 3       unused
 *     words 4 + 12 e   header of entry e: KIND, RANK, BYTE_LENGTH, BYTE_OFFSET, 8 dimensions
 *     …                data of every entry that is present, each 64-byte aligned from the start of the slot
 *
 * The header of a one-tensor message fills exactly one cache line. Lengths and offsets are unsigned.
 */
import { alignUp } from './alignment.js';
import { ELEMENT_BYTES, type ElementType, type TensorHeader } from './tensor.js';

export const ENTRY_COUNT_INDEX = 0;
export const TAG_INDEX = 1;
export const FIRST_ENTRY_HEADER_INDEX = 4;
export const ENTRY_HEADER_WORDS = 12;

/** Word positions inside an entry's header. */
export const ENTRY_KIND = 0;
export const ENTRY_RANK = 1;
export const ENTRY_BYTE_LENGTH = 2;
export const ENTRY_BYTE_OFFSET = 3;
export const ENTRY_DIMENSIONS = 4;

export const MAX_RANK = ENTRY_HEADER_WORDS - ENTRY_DIMENSIONS;

/** `ENTRY_KIND` of an entry that was announced and never written: a message cut short, which readers refuse. */
export const KIND_UNWRITTEN = 0;
/** `ENTRY_KIND` of an entry without a tensor, such as the gradient of an output that the loss ignores. */
export const KIND_ABSENT = 1;
/** `ENTRY_KIND` of a tensor, by its element type. */
export const KIND_OF_TYPE: Readonly<Record<ElementType, number>> = { float32: 2, int32: 3, bool: 4 };

/** Byte offset, in the slot, of the first entry's data. */
export function dataByteOffset(entryCount: number): number {
  return alignUp(Int32Array.BYTES_PER_ELEMENT * (FIRST_ENTRY_HEADER_INDEX + entryCount * ENTRY_HEADER_WORDS));
}

export function elementCount(shape: readonly number[]): number {
  let count = 1;
  for (let axis = 0; axis < shape.length; axis++) count *= shape[axis]!;
  return count;
}

export function tensorBytes(header: TensorHeader): number {
  return elementCount(header.shape) * ELEMENT_BYTES[header.dtype];
}

/** The slot size that a message of these tensors needs; an absent one takes its header alone. */
export function messageBytes(headers: readonly (TensorHeader | undefined)[]): number {
  let bytes = dataByteOffset(headers.length);
  for (const header of headers) if (header !== undefined) bytes += alignUp(tensorBytes(header));
  return bytes;
}
