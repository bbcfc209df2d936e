/** What all of Millrace's protocol buffers share: messages inside messages, and TensorFlow's `TensorProto`. */
import { type BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

const SHAPE = { dim: 2 } as const;
const DIM = { size: 1 } as const;
const TENSOR = { dtype: 1, shape: 2, content: 4 } as const;

/** Writes a field that is a message of what `write` writes into the same writer. */
export function nested(writer: BinaryWriter, field: number, write: () => void): void {
  writer.tag(field, WireType.LengthDelimited).fork();
  write();
  writer.join();
}

/** The fields of a `TensorShapeProto`. */
export function writeShape(writer: BinaryWriter, shape: readonly number[]): void {
  for (const size of shape) {
    nested(writer, SHAPE.dim, () => writer.tag(DIM.size, WireType.Varint).int64(size));
  }
}

/**
 * The fields of a `TensorProto`.
 *
 * @param dtype a number of TensorFlow's `DataType`
 * @param content the elements' bytes, little-endian
 */
export function writeTensor(
  writer: BinaryWriter,
  dtype: number,
  shape: readonly number[],
  content: Uint8Array,
): void {
  writer.tag(TENSOR.dtype, WireType.Varint).int32(dtype);
  nested(writer, TENSOR.shape, () => writeShape(writer, shape));
  writer.tag(TENSOR.content, WireType.LengthDelimited).bytes(content);
}
