/** Numbers as people read them. Always English, whatever the machine's language, so that output can be compared. */

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** `1,234,567` */
export function formatCount(count: number): string {
  return Math.round(count).toLocaleString('en-US');
}

/** `512 B`, `1.5 KiB`, `12.0 MiB` */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  // What would be rounded to 1024.0 is one of the next unit.
  while (value >= (unit === 0 ? 1024 : 1023.95) && unit < BYTE_UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${BYTE_UNITS[unit]}`;
}

/** `42 %`, from a share of 1. */
export function formatShare(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** `0.123 ms`, `1.23 ms`, `12.3 ms`, `1,234 ms` */
export function formatMs(ms: number): string {
  if (ms >= 100) return `${formatCount(ms)} ms`;
  return `${ms.toFixed(ms >= 10 ? 1 : ms >= 1 ? 2 : 3)} ms`;
}

/** `8 s`, `2 min 05 s`, `1 h 02 min`, or `–` for a time that is not known. */
export function formatDuration(ms: number): string {
  if (!Number.isFinite(ms)) return '–';
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${pad(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${pad(minutes % 60)} min`;
}

/** A loss or a metric: four significant digits, without an exponent where it can be helped. */
export function formatMetric(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-4 || size >= 1e6) ? value.toExponential(3) : value.toPrecision(4);
}

function pad(number: number): string {
  return String(number).padStart(2, '0');
}
