/**
 * CRC-32C (Castagnoli), the checksum of TFRecord files; Node's zlib has only the other CRC-32. The packages that have it
 * bring a native addon or a cloud SDK's types with them, for these lines.
 *
 * Source: RFC 3720, appendix B.4, by the usual table of bytes (D. V. Sarwate, CACM 31 (8), 1988).
 */

/** The polynomial 0x1edc6f41 with its bits reversed. */
const POLYNOMIAL = 0x82f63b78;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ (remainder & 1 ? POLYNOMIAL : 0);
  return remainder;
});

/** @returns the checksum as an unsigned number */
export function crc32c(bytes: Uint8Array): number {
  let checksum = 0xffffffff;
  for (const byte of bytes) checksum = (checksum >>> 8) ^ TABLE[(checksum ^ byte) & 0xff]!;
  return ~checksum >>> 0;
}
