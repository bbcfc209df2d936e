/**
 * The events of a TensorBoard log as protocol buffers: the few messages and fields that scalars and histograms need.
 *
 * Source: the field numbers of TensorFlow's event.proto, summary.proto, tensor.proto, tensor_shape.proto and types.proto.
 */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { nested, writeTensor } from '../../protocol-buffers.js';
import type { Bucket } from './histogram.js';

/** One value of a run under its tag. */
export type Summary =
  | { readonly kind: 'scalar'; readonly tag: string; readonly value: number }
  | { readonly kind: 'histogram'; readonly tag: string; readonly buckets: readonly Bucket[] };

const EVENT = { wallTime: 1, step: 2, fileVersion: 3, summary: 5 } as const;
const SUMMARY = { value: 1 } as const;
const VALUE = { tag: 1, simpleValue: 2, tensor: 8, metadata: 9 } as const;
const METADATA = { pluginData: 1 } as const;
const PLUGIN_DATA = { pluginName: 1 } as const;

/** What every file must begin with; readers refuse others. */
const FILE_VERSION = 'brain.Event:2';
const DT_DOUBLE = 2;
const HISTOGRAM_PLUGIN = 'histograms';
/** Left edge, right edge, count. */
const BUCKET_COLUMNS = 3;

export function encodeFileVersion(wallTimeMs: number): Uint8Array {
  const writer = begin(wallTimeMs);
  return writer.tag(EVENT.fileVersion, WireType.LengthDelimited).string(FILE_VERSION).finish();
}

/** @param step a whole number; TensorBoard draws the values of a tag over it */
export function encodeSummary(wallTimeMs: number, step: number, summary: Summary): Uint8Array {
  const writer = begin(wallTimeMs);
  // As in all of protocol buffers, what is zero is left out.
  if (step !== 0) writer.tag(EVENT.step, WireType.Varint).int64(step);
  nested(writer, EVENT.summary, () => nested(writer, SUMMARY.value, () => writeValue(writer, summary)));
  return writer.finish();
}

function begin(wallTimeMs: number): BinaryWriter {
  return new BinaryWriter().tag(EVENT.wallTime, WireType.Bit64).double(wallTimeMs / 1000);
}

function writeValue(writer: BinaryWriter, summary: Summary): void {
  writer.tag(VALUE.tag, WireType.LengthDelimited).string(summary.tag);
  switch (summary.kind) {
    case 'scalar':
      writer.tag(VALUE.simpleValue, WireType.Bit32).float(summary.value);
      break;
    case 'histogram':
      nested(writer, VALUE.tensor, () => writeBuckets(writer, summary.buckets));
      nested(writer, VALUE.metadata, () =>
        nested(writer, METADATA.pluginData, () =>
          writer.tag(PLUGIN_DATA.pluginName, WireType.LengthDelimited).string(HISTOGRAM_PLUGIN),
        ),
      );
      break;
    default:
      summary satisfies never;
  }
}

/** A tensor of doubles: float32 could not count beyond 2^24. */
function writeBuckets(writer: BinaryWriter, buckets: readonly Bucket[]): void {
  const content = new DataView(
    new ArrayBuffer(buckets.length * BUCKET_COLUMNS * Float64Array.BYTES_PER_ELEMENT),
  );
  for (const [index, value] of buckets.flatMap(({ left, right, count }) => [left, right, count]).entries()) {
    content.setFloat64(index * Float64Array.BYTES_PER_ELEMENT, value, true);
  }
  writeTensor(writer, DT_DOUBLE, [buckets.length, BUCKET_COLUMNS], new Uint8Array(content.buffer));
}
