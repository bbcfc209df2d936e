/** The benchmark of the transport: that its measurements run to their end, and what it says of numbers that a test chooses. */
import { describe, expect, it } from 'vitest';
import { measureBytes } from '../../bench/transport/bytes.mjs';
import { othersShare } from '../../bench/transport/neighbours.mjs';
import { type Results, transportMarkdown, transportText } from '../../bench/transport/report.mjs';
import { measureRoundTrips, SPIN_COUNTS, WAITS_US } from '../../bench/transport/round-trips.mjs';
import { measureTensors } from '../../bench/transport/tensors.mjs';
import { takeTurns } from '../../bench/transport/turns.mjs';
import { backends } from '../helpers/backends.js';

const FACTS = {
  date: '2026-01-02',
  cpu: 'A Processor',
  cores: 2,
  memoryGib: 8,
  platform: 'linux x64',
  versions: { Node: '20.19.0', TensorFlow: '2.15.1' },
};

/** Busy round trips that take so long without spinning, and half of it for every other spin count. */
function results(asleepUs: number, ringUs: number, spinningUs = ringUs): Results {
  return {
    bytes: [
      {
        kibibytes: 1024,
        perMessageUs: { memcpy: 100, ring: 200, clone: 1000, transfer: 10 },
        oneWayUs: { ring: 250, clone: 1100, transfer: 12 },
      },
    ],
    tensors: [
      { way: 'memcpy', oneWayUs: 100 },
      { way: 'ring', oneWayUs: ringUs },
      { way: 'ring, 10000 spins', oneWayUs: spinningUs },
      { way: 'clone', oneWayUs: 800 },
    ],
    othersShare: 0.02,
    roundTrips: WAITS_US.flatMap(waitUs =>
      SPIN_COUNTS.map(spinCount => ({
        spinCount,
        waitUs,
        roundTripUs: spinCount === 0 ? asleepUs : asleepUs / 2,
      })),
    ),
  };
}

describe('candidates that take turns', () => {
  it('run in turn, round after round, and the first round does not count', async () => {
    const order: string[] = [];
    const candidate = (name: string, times: number[]) => () => {
      order.push(name);
      return [times[order.filter(other => other === name).length - 1]!];
    };
    const medians = await takeTurns(
      { a: candidate('a', [99, 1, 2, 9]), b: candidate('b', [99, 5, 4, 3]) },
      3,
    );
    expect(order.join('')).toBe('abababab');
    expect(medians).toEqual({ a: 2, b: 4 });
  });
});

describe('the measurements of the transport', () => {
  const positive = expect.toSatisfy((us: number) => us > 0);

  it('time bytes in every way', async () => {
    const [result, ...more] = await measureBytes({ rounds: 1, mebibytes: 0.1, sizesKib: [4] });
    expect(more).toEqual([]);
    expect(result).toEqual({
      kibibytes: 4,
      perMessageUs: { memcpy: positive, ring: positive, clone: positive, transfer: positive },
      oneWayUs: { ring: positive, clone: positive, transfer: positive },
    });
  });

  it('time round trips for every spin count and every wait', async () => {
    const trips = await measureRoundTrips({ rounds: 1, count: 3 });
    expect(trips).toHaveLength(SPIN_COUNTS.length * WAITS_US.length);
    for (const { roundTripUs } of trips) expect(roundTripUs).toBeGreaterThan(0);
  });

  it.skipIf(!backends().includes('tensorflow'))('time tensors, and leave none behind', async () => {
    const tensors = await measureTensors({ rounds: 1, count: 3 });
    expect(tensors?.map(({ way }) => way)).toEqual([
      ...['memcpy', 'consume', 'toSlot', 'fromSlot'],
      ...['ring', 'ring, 10000 spins', 'ring, 100000 spins', 'clone', 'transfer'],
    ]);
    for (const { oneWayUs } of tensors ?? []) expect(oneWayUs).toBeGreaterThan(0);
  });
});

describe('what the transport benchmark says', () => {
  it('are bandwidths and latencies by size', () => {
    const text = transportText(results(10, 200));
    expect(text).toMatch(
      /^Bandwidth, GiB a second\nmessage +memcpy +ring +clone +transfer\n1 MiB +9\.77 +4\.88 +0\.98 +97\.66$/m,
    );
    expect(text).toMatch(
      /^message +one memcpy +ring +clone +transfer\n1 MiB +100\.0 +250\.0 +1100\.0 +12\.0$/m,
    );
  });

  it('is whether what was asked is met', () => {
    const text = transportText(results(18, 200));
    expect(text).toContain('ring: 2.00 memcpys; asked are at most 2.5: met. 4.0 times as fast');
    expect(text).toContain('take 18.0 µs without spinning');
    expect(text).not.toContain('falls short');
  });

  it('is where a figure falls short, and which spin count would do better', () => {
    const text = transportText(results(30, 260, 150));
    expect(text).toMatch(
      /^ring: 2\.60 memcpys; .*: \*\*falls short\*\*\. 3\.1 times .*: \*\*falls short\*\*\.$/m,
    );
    expect(text).toMatch(/^ring, 10000 spins: 1\.50 memcpys; .*: met\. 5\.3 times .*: met\.$/m);
    expect(text).toContain('asked are less than 20: **falls short**.');
    expect(text).toContain('The best of these spin counts is 100, with 15.0 µs: met.');
  });

  it('does not hide that TensorFlow was absent', () => {
    const text = transportMarkdown({ ...results(10, 200), tensors: undefined }, FACTS);
    expect(text).toContain('- TensorFlow does not load here: not measured.');
  });

  it('is that the machine was not quiet, when others took more of it than can be ignored', () => {
    const warning = '**Other programs took 42 % of the cores meanwhile: measure again on a quiet machine.**';
    const disturbed = { ...results(10, 200), othersShare: othersShare({ busyMs: 620, totalMs: 1000 }, 200) };
    expect(transportText(disturbed)).toContain(warning);
    expect(transportMarkdown(disturbed, FACTS)).toContain(warning);
    expect(transportText(results(10, 200))).not.toContain('Other programs');
  });

  it('goes onto the page as tables under headings of their own, in lines of at most 130 columns', () => {
    const text = transportMarkdown(results(10, 200), FACTS);
    expect(text.match(/^### .*$/gm)).toHaveLength(4);
    expect(text).toContain('| ring | 200 | 2.00 |');
    expect(text.split('\n').filter(line => !/^[|-]/.test(line) && line.length > 130)).toEqual([]);
  });
});
