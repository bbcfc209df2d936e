/** The bytes of event files, held against a file that TensorBoard's own code wrote (`fixtures/make.py`). */
import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc32c } from '#internal/report/tensorboard/crc32c.js';
import { encodeFileVersion, encodeSummary, type Summary } from '#internal/report/tensorboard/event.js';
import { bucketsOf } from '#internal/report/tensorboard/histogram.js';
import { encodeRecord } from '#internal/report/tensorboard/record.js';
import { readEvents, readRecords } from './reader.js';

interface Fixture {
  readonly firstWallTimeMs: number;
  readonly scalars: readonly { readonly step: number; readonly tag: string; readonly value: string }[];
  readonly histogram: { readonly step: number; readonly tag: string; readonly buckets: number[][] };
}

const file = (name: string) => readFile(new URL(`fixtures/${name}`, import.meta.url));
const written = () => file('events.out.tfevents.1700000000.python');
const fixture = async () => JSON.parse(String(await file('events.json'))) as Fixture;

describe('crc32c', () => {
  it.each([
    ['32 bytes of zero', new Uint8Array(32), 0x8a9136aa],
    ['32 bytes of ones', new Uint8Array(32).fill(0xff), 0x62a8ab43],
    ['32 rising bytes', Uint8Array.from({ length: 32 }, (_, index) => index), 0x46dd794e],
    ['32 falling bytes', Uint8Array.from({ length: 32 }, (_, index) => 31 - index), 0x113fdb5c],
    ['nothing', new Uint8Array(0), 0],
  ])('of %s is what RFC 3720 says', (_, bytes, checksum) => {
    expect(crc32c(bytes)).toBe(checksum);
  });
});

describe('an event file', () => {
  it('that TensorBoard wrote is read by the reader of these tests', async () => {
    const { scalars, histogram } = await fixture();
    const values = readEvents(await written());
    expect(values.slice(0, -1).map(({ step, tag, scalar }) => ({ step, tag, scalar }))).toEqual(
      scalars.map(({ value, ...rest }) => ({ ...rest, scalar: Math.fround(Number(value)) })),
    );
    expect(values.at(-1)).toMatchObject({ ...histogram, plugin: 'histograms' });
  });

  it('is the same byte for byte as TensorBoard writes it', async () => {
    const { firstWallTimeMs, scalars, histogram } = await fixture();
    const buckets = histogram.buckets.map(([left, right, count]) => ({
      left: left!,
      right: right!,
      count: count!,
    }));
    const summaries: [step: number, Summary][] = [
      ...scalars.map(({ step, tag, value }): [number, Summary] => [
        step,
        { kind: 'scalar', tag, value: Number(value) },
      ]),
      [histogram.step, { kind: 'histogram', tag: histogram.tag, buckets }],
    ];
    const events = [
      encodeFileVersion(firstWallTimeMs),
      ...summaries.map(([step, summary], index) => encodeSummary(firstWallTimeMs + index + 1, step, summary)),
    ];
    expect(Buffer.concat(events.map(encodeRecord))).toEqual(await written());
  });

  it('that was damaged anywhere is refused by the reader, so that its checks mean something', () => {
    const bytes = encodeRecord(encodeSummary(1e12, 3, { kind: 'scalar', tag: 'loss', value: 1 }));
    expect(readRecords(bytes)).toHaveLength(1);
    for (let position = 0; position < bytes.byteLength; position++) {
      const damaged = bytes.slice();
      damaged[position]! ^= 0x10;
      expect(() => readRecords(damaged), `byte ${position}`).toThrow();
    }
  });
});

describe('buckets', () => {
  it('hold every finite value once and follow one another without a gap', () => {
    const value = fc.oneof(fc.float({ noDefaultInfinity: true }), fc.constantFrom(Number.NaN, -0, 1e-30));
    fc.assert(
      fc.property(fc.array(value, { maxLength: 200 }), values => {
        const finite = values.filter(Number.isFinite);
        const buckets = bucketsOf(values);
        expect(buckets.reduce((sum, { count }) => sum + count, 0)).toBe(finite.length);
        for (const [index, { left, right }] of buckets.entries()) {
          expect(left).toBeLessThanOrEqual(right);
          if (index > 0) expect(left).toBe(buckets[index - 1]!.right);
        }
        if (buckets.length < 2) return;
        // Adding zero makes no difference between the two zeros.
        expect(buckets[0]!.left + 0).toBe(Math.min(...finite) + 0);
        expect(buckets.at(-1)!.right + 0).toBe(Math.max(...finite) + 0);
      }),
    );
  });

  it('count what lies between their edges', () => {
    const values = [0, 0.5, 1.5, 1.75, 29.5, 30];
    const counts = bucketsOf(values).map(({ count }) => count);
    expect(counts).toEqual([2, 2, ...new Array(27).fill(0), 2]);
  });

  it('are one for values that are all the same, and none without values', () => {
    expect(bucketsOf([3, 3, 3])).toEqual([{ left: 2.5, right: 3.5, count: 3 }]);
    expect(bucketsOf([])).toEqual([]);
    expect(bucketsOf([Number.NaN, Number.POSITIVE_INFINITY])).toEqual([]);
  });
});
