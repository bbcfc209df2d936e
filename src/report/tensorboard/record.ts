/**
 * A record of a TFRecord file: its length, the length's checksum, the data, the data's checksum, all little-endian.
 *
 * Source: the format's description at https://www.tensorflow.org/tutorials/load_data/tfrecord.
 */
import { crc32c } from './crc32c.js';

const LENGTH_BYTES = 8;
const CHECKSUM_BYTES = 4;
/** What a mask adds; it keeps a checksum of data that holds checksums from being weak. */
const MASK_DELTA = 0xa282ead8;

export function encodeRecord(data: Uint8Array): Uint8Array {
  const dataStart = LENGTH_BYTES + CHECKSUM_BYTES;
  const record = new Uint8Array(dataStart + data.byteLength + CHECKSUM_BYTES);
  const view = new DataView(record.buffer);
  view.setBigUint64(0, BigInt(data.byteLength), true);
  view.setUint32(LENGTH_BYTES, maskedChecksum(record.subarray(0, LENGTH_BYTES)), true);
  record.set(data, dataStart);
  view.setUint32(dataStart + data.byteLength, maskedChecksum(data), true);
  return record;
}

/** The checksum rotated right by 15 bits, plus a constant. */
function maskedChecksum(bytes: Uint8Array): number {
  const checksum = crc32c(bytes);
  return (((checksum >>> 15) | (checksum << 17)) + MASK_DELTA) >>> 0;
}
