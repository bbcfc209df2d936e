/**
 * Writing a list of tensors into a slot and reading it back in place: headers in words, data as views of the slot.
 * No data is copied here; whoever holds the views does that, or lets TensorFlow alias them.
 *
 * `protocol/message.ts` has the layout. This file checks what would otherwise be silent damage (a message that
 * outgrows its slot, one that was cut short, a slot that holds none); whether shapes are the expected ones is for the
 * stages, which know what to expect.
 */
import { alignUp } from '../protocol/alignment.js';
import {
  dataByteOffset,
  ENTRY_BYTE_LENGTH,
  ENTRY_BYTE_OFFSET,
  ENTRY_COUNT_INDEX,
  ENTRY_DIMENSIONS,
  ENTRY_HEADER_WORDS,
  ENTRY_KIND,
  ENTRY_RANK,
  FIRST_ENTRY_HEADER_INDEX,
  KIND_ABSENT,
  KIND_OF_TYPE,
  KIND_UNWRITTEN,
  MAX_RANK,
  TAG_INDEX,
  tensorBytes,
} from '../protocol/message.js';
import type { ElementType, TensorData, TensorHeader } from '../protocol/tensor.js';
import { CapacityError, TransportError } from './errors.js';
import type { SlotView } from './link.js';

export { messageBytes } from '../protocol/message.js';

/** A tensor in a slot. `data` is valid until the slot is published (while writing) or released (while reading). */
export interface MessageEntry {
  readonly header: TensorHeader;
  readonly data: TensorData;
}

function headerIndex(entry: number): number {
  return FIRST_ENTRY_HEADER_INDEX + entry * ENTRY_HEADER_WORDS;
}

function viewData(slot: SlotView, dtype: ElementType, byteOffset: number, byteLength: number): TensorData {
  const start = slot.byteOffset + byteOffset;
  switch (dtype) {
    case 'float32':
      return new Float32Array(slot.buffer, start, byteLength / 4);
    case 'int32':
      return new Int32Array(slot.buffer, start, byteLength / 4);
    case 'bool':
      return new Uint8Array(slot.buffer, start, byteLength);
  }
}

/** Writes one message, entry by entry, into a slot that the sender has claimed. */
export class MessageWriter {
  readonly #slot: SlotView;
  #entryCount = 0;
  #nextEntry = 0;
  #nextByteOffset = 0;

  constructor(slot: SlotView) {
    this.#slot = slot;
  }

  /** Starts a message of so many entries. `tag` is any 32-bit number that the receiver wants to compare. */
  begin(entryCount: number, tag = 0): void {
    const headerBytes = dataByteOffset(entryCount);
    if (headerBytes > this.#slot.byteLength) {
      throw new CapacityError(`a message of ${entryCount} entries`, headerBytes, this.#slot.byteLength);
    }
    const { words } = this.#slot;
    words[ENTRY_COUNT_INDEX] = entryCount;
    words[TAG_INDEX] = tag;
    // The slot still has the headers of an earlier message: a reader must not take those for this one's.
    for (let entry = 0; entry < entryCount; entry++) words[headerIndex(entry) + ENTRY_KIND] = KIND_UNWRITTEN;
    this.#entryCount = entryCount;
    this.#nextEntry = 0;
    this.#nextByteOffset = headerBytes;
  }

  /** Writes the next entry's header and returns the memory to write its data into, whose old contents are undefined. */
  entry(header: TensorHeader): TensorData {
    const { dtype, shape } = header;
    if (shape.length > MAX_RANK) {
      throw new TransportError(`a tensor crosses with at most ${MAX_RANK} axes, got shape [${shape}]`);
    }
    const byteLength = tensorBytes(header);
    const byteOffset = this.#nextByteOffset;
    const end = byteOffset + alignUp(byteLength);
    if (end > this.#slot.byteLength) {
      throw new CapacityError(`a message with ${dtype} [${shape}]`, end, this.#slot.byteLength);
    }
    const index = this.#takeHeader();
    const { words } = this.#slot;
    words[index + ENTRY_KIND] = KIND_OF_TYPE[dtype];
    words[index + ENTRY_RANK] = shape.length;
    words[index + ENTRY_BYTE_LENGTH] = byteLength;
    words[index + ENTRY_BYTE_OFFSET] = byteOffset;
    for (let axis = 0; axis < shape.length; axis++) words[index + ENTRY_DIMENSIONS + axis] = shape[axis]!;
    this.#nextByteOffset = end;
    return viewData(this.#slot, dtype, byteOffset, byteLength);
  }

  /** Makes the next entry one without a tensor. */
  absent(): void {
    this.#slot.words[this.#takeHeader() + ENTRY_KIND] = KIND_ABSENT;
  }

  #takeHeader(): number {
    if (this.#nextEntry >= this.#entryCount) {
      throw new TransportError(`a message begun with ${this.#entryCount} entries was given one more`);
    }
    return headerIndex(this.#nextEntry++);
  }
}

/** Reads the message in a received slot: in the order written, undefined where an entry is absent. */
export function readMessage(slot: SlotView): (MessageEntry | undefined)[] {
  const { words } = slot;
  const entryCount = words[ENTRY_COUNT_INDEX]!;
  if (entryCount < 0 || dataByteOffset(entryCount) > slot.byteLength) {
    throw new TransportError(`the slot holds no message: ${entryCount} entries (was it released already?)`);
  }
  const entries: (MessageEntry | undefined)[] = new Array(entryCount);
  for (let entry = 0; entry < entryCount; entry++) entries[entry] = readEntry(slot, entry);
  return entries;
}

/** The tag that the message in a received slot was begun with. */
export function messageTag(slot: SlotView): number {
  return slot.words[TAG_INDEX]!;
}

function readEntry(slot: SlotView, entry: number): MessageEntry | undefined {
  const { words } = slot;
  const index = headerIndex(entry);
  const kind = words[index + ENTRY_KIND]!;
  if (kind === KIND_ABSENT) return undefined;
  const dtype = TYPE_OF_KIND[kind];
  if (dtype === undefined) {
    const fault =
      kind === KIND_UNWRITTEN ? 'was announced and never written' : `has the unknown kind ${kind}`;
    throw new TransportError(`entry ${entry} of the message ${fault}`);
  }
  const rank = words[index + ENTRY_RANK]!;
  const shape: number[] = [];
  // Lengths, offsets and dimensions are unsigned words.
  for (let axis = 0; axis < rank; axis++) shape.push(words[index + ENTRY_DIMENSIONS + axis]! >>> 0);
  const byteOffset = words[index + ENTRY_BYTE_OFFSET]! >>> 0;
  const byteLength = words[index + ENTRY_BYTE_LENGTH]! >>> 0;
  return { header: { dtype, shape }, data: viewData(slot, dtype, byteOffset, byteLength) };
}

const TYPE_OF_KIND: readonly (ElementType | undefined)[] = (() => {
  const types: (ElementType | undefined)[] = [];
  for (const dtype of Object.keys(KIND_OF_TYPE) as ElementType[]) types[KIND_OF_TYPE[dtype]] = dtype;
  return types;
})();
