/** Numbers as people read them. */

/** `0.042 ms`, `1.23 ms`, `45.6 ms`, `1,234 ms` */
export function formatMs(ms: number | undefined): string {
  return ms === undefined ? '–' : `${formatNumber(ms)} ms`;
}

/** Three digits that count, as far as there are so many. */
export function formatNumber(value: number): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.1 ? 2 : 3;
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export function formatShare(share: number | undefined): string {
  return share === undefined ? '–' : `${(share * 100).toFixed(share < 0.0995 ? 1 : 0)} %`;
}

/** `+12 %` */
export function formatError(error: number | undefined): string {
  if (error === undefined) return '–';
  const percent = Math.round(error * 100);
  return `${percent < 0 ? '−' : percent > 0 ? '+' : '±'}${Math.abs(percent)} %`;
}

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export function formatBytes(bytes: number): string {
  const unit = Math.min(BYTE_UNITS.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, bytes)) / 10)));
  return `${(bytes / 1024 ** unit).toFixed(unit === 0 ? 0 : 1)} ${BYTE_UNITS[unit]}`;
}

/** A loss: four digits. */
export function formatLoss(loss: number | undefined): string {
  if (loss === undefined || !Number.isFinite(loss)) return loss === undefined ? '–' : String(loss);
  const size = Math.abs(loss);
  return size !== 0 && (size < 1e-4 || size >= 1e6) ? loss.toExponential(3) : loss.toPrecision(4);
}

/** `3`, `0, 1 and 2` */
export function listOf(parts: readonly (string | number)[]): string {
  if (parts.length < 2) return parts.join('');
  return `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`;
}
