import { describe, expect, it } from 'vitest';
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatMetric,
  formatMs,
  formatShare,
} from '#internal/report/units.js';

describe('numbers for people', () => {
  it.each([
    [0.12345, '0.123 ms'],
    [1.005, '1.00 ms'],
    [12.34, '12.3 ms'],
    [1234.5, '1,235 ms'],
  ])('writes %d milliseconds with the digits that count, as %s', (ms, text) => {
    expect(formatMs(ms)).toBe(text);
  });

  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [1536, '1.5 KiB'],
    [2 ** 20 - 1, '1.0 MiB'],
    [2 ** 20 * 12.34, '12.3 MiB'],
    [2 ** 50 * 3, '3072.0 TiB'],
  ])('writes %d bytes as %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });

  it.each([
    [0, '0 s'],
    [499, '0 s'],
    [8_200, '8 s'],
    [59_600, '1 min 00 s'],
    [125_000, '2 min 05 s'],
    [3_720_000, '1 h 02 min'],
    [Number.NaN, '–'],
    [Number.POSITIVE_INFINITY, '–'],
  ])('writes %d milliseconds as %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });

  it.each([
    [0, '0.000'],
    [0.07406, '0.07406'],
    [2.5, '2.500'],
    [123.456, '123.5'],
    [0.000012345, '1.234e-5'],
    [-12345678, '-1.235e+7'],
    [Number.NaN, 'NaN'],
  ])('writes a loss of %d as %s', (value, text) => {
    expect(formatMetric(value)).toBe(text);
  });

  it('separates thousands, whatever the language of the machine', () => {
    expect(formatCount(1_234_567.4)).toBe('1,234,567');
  });

  it('rounds shares to whole percents', () => {
    expect(formatShare(0.456)).toBe('46 %');
  });
});
