/**
 * Reads event files, checksums included. It shares no line with the writer but the protocol buffers' wire format, and is
 * itself tested on a file that TensorBoard wrote.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BinaryReader } from '@bufbuild/protobuf/wire';

export interface ReadValue {
  readonly step: number;
  readonly tag: string;
  readonly wallTimeMs: number;
  readonly scalar?: number;
  /** Rows of left edge, right edge, count. */
  readonly buckets?: readonly (readonly number[])[];
  readonly plugin?: string;
}

/** All values of the event files of a run's directory, file by file in the order of their names. */
export async function readRun(directory: string): Promise<ReadValue[]> {
  const values: ReadValue[] = [];
  for (const name of (await readdir(directory)).sort()) {
    if (!/tfevents/.test(name)) throw new Error(`TensorBoard would not look at ${name}`);
    values.push(...readEvents(await readFile(join(directory, name))));
  }
  return values;
}

export function readEvents(bytes: Uint8Array): ReadValue[] {
  const [first, ...events] = readRecords(bytes).map(readFields);
  const version = first === undefined ? undefined : text(first, 3);
  if (version !== 'brain.Event:2') throw new Error(`the file begins with version ${version}`);
  return events.flatMap(event => {
    const [summary] = event.get(5) ?? [];
    const step = Number(event.get(2)?.[0] ?? 0);
    const wallTimeMs = double(event.get(1)![0] as Uint8Array) * 1000;
    const values = readFields(summary as Uint8Array).get(1) ?? [];
    return values.map(value => ({ step, wallTimeMs, ...readValue(readFields(value as Uint8Array)) }));
  });
}

export function readRecords(bytes: Uint8Array): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const records: Uint8Array[] = [];
  for (let position = 0; position < bytes.byteLength; ) {
    const length = Number(view.getBigUint64(position, true));
    checkSum(bytes.subarray(position, position + 8), view.getUint32(position + 8, true));
    const data = bytes.subarray(position + 12, position + 12 + length);
    if (data.byteLength !== length) throw new Error('the file ends within a record');
    checkSum(data, view.getUint32(position + 12 + length, true));
    records.push(data);
    position += length + 16;
  }
  return records;
}

function checkSum(bytes: Uint8Array, masked: number): void {
  const unmasked = (masked - 0xa282ead8) >>> 0;
  const rotated = ((unmasked << 15) | (unmasked >>> 17)) >>> 0;
  if (rotated !== slowCrc32c(bytes)) throw new Error('a checksum does not match');
}

/** Bit by bit, as polynomial division is defined. */
function slowCrc32c(bytes: Uint8Array): number {
  let remainder = 0xffffffff;
  for (const byte of bytes) {
    for (let bit = 0; bit < 8; bit++) {
      const isOdd = ((remainder ^ (byte >>> bit)) & 1) === 1;
      remainder = (remainder >>> 1) ^ (isOdd ? 0x82f63b78 : 0);
    }
  }
  return ~remainder >>> 0;
}

/** Fields of a message by number: whole numbers as they are, everything else as bytes. */
type Fields = Map<number, (bigint | Uint8Array)[]>;

function readFields(message: Uint8Array): Fields {
  const fields: Fields = new Map();
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    const start = reader.pos;
    let value: bigint | Uint8Array;
    if (type === 0) value = BigInt(reader.int64());
    else if (type === 2) value = reader.bytes();
    else {
      reader.skip(type);
      value = message.subarray(start, reader.pos);
    }
    fields.set(field, [...(fields.get(field) ?? []), value]);
  }
  return fields;
}

function readValue(value: Fields): Pick<ReadValue, 'tag' | 'scalar' | 'buckets' | 'plugin'> {
  const tag = text(value, 1);
  const scalar = value.get(2)?.[0] as Uint8Array | undefined;
  if (scalar !== undefined) return { tag, scalar: view(scalar).getFloat32(0, true) };
  const plugin = text(child(child(value, 9), 1), 1);
  return { tag, plugin, buckets: readMatrix(child(value, 8)) };
}

function readMatrix(tensor: Fields): number[][] {
  const [, columns] = (child(tensor, 2).get(2) ?? []).map(dim =>
    Number(readFields(dim as Uint8Array).get(1)),
  );
  const content = tensor.get(4)![0] as Uint8Array;
  const isDouble = tensor.get(1)![0] === 2n;
  const bytes = isDouble ? 8 : 4;
  const values = Array.from({ length: content.byteLength / bytes }, (_, index) =>
    isDouble ? view(content).getFloat64(index * bytes, true) : view(content).getFloat32(index * bytes, true),
  );
  return Array.from({ length: values.length / columns! }, (_, row) =>
    values.slice(row * columns!, (row + 1) * columns!),
  );
}

function child(message: Fields, field: number): Fields {
  return readFields(message.get(field)![0] as Uint8Array);
}

function text(message: Fields, field: number): string {
  return new TextDecoder().decode(message.get(field)?.[0] as Uint8Array | undefined);
}

function double(bytes: Uint8Array): number {
  return view(bytes).getFloat64(0, true);
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
