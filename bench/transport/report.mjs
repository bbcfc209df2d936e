// @ts-check
/** What the measurements of the transport say: as text for the terminal, and as a section of docs/performance.md. */
import { formatTable } from '#internal/report/table.js';
import { table, wrap } from '../run/markdown.mjs';
import { QUIET_SHARE } from './neighbours.mjs';
import { SPIN_COUNTS, WAITS_US } from './round-trips.mjs';
import { ringName, TENSOR_SPIN_COUNTS } from './tensors.mjs';

/** Asked of a 1 MiB tensor by ring, of the ways that a program has by itself, and of a round trip between busy workers. */
const ASKED_MEMCPYS = 2.5;
const ASKED_TIMES_FASTER = 4;
const ASKED_ROUND_TRIP_US = 20;
/** Both workers compute, and one is done just before the other's message comes. */
const BUSY_WAIT_US = 20;

/**
 * @typedef {object} Results
 * @property {readonly import('./bytes.mjs').BytesResult[]} bytes
 * @property {readonly import('./round-trips.mjs').RoundTripResult[]} roundTrips
 * @property {import('./tensors.mjs').TensorResult | undefined} tensors nothing where TensorFlow does not load
 * @property {number} othersShare of all cores, that other programs took meanwhile
 */

/** @typedef {{ heading: string, about: string, titles: string[], rows: string[][], verdicts: string[] }} Part */

/** @param {Results} results */
export function transportText(results) {
  return partsOf(results)
    .map(({ heading, titles, rows, verdicts }) => {
      const columns = titles.map((title, column) => ({
        title,
        align: /** @type {'left' | 'right'} */ (column === 0 ? 'left' : 'right'),
      }));
      return [heading, ...(rows.length === 0 ? [] : [formatTable(columns, rows)]), ...verdicts].join('\n');
    })
    .concat(disturbance(results))
    .join('\n\n');
}

/** @param {Results} results */
function disturbance({ othersShare }) {
  if (othersShare <= QUIET_SHARE) return [];
  const percent = Math.round(100 * othersShare);
  return [`**Other programs took ${percent} % of the cores meanwhile: measure again on a quiet machine.**`];
}

/**
 * @param {Results} results
 * @param {import('../run/machine.mjs').Facts} facts
 */
export function transportMarkdown(results, { date, cpu, cores, versions }) {
  const parts = partsOf(results).flatMap(({ heading, about, titles, rows, verdicts }) => [
    `### ${heading}`,
    wrap(about),
    ...(rows.length === 0 ? [] : [table(titles, rows)]),
    ...(verdicts.length === 0 ? [] : [verdicts.map(verdict => `- ${verdict}`).join('\n')]),
  ]);
  const versionsText = `Node ${versions['Node']}, TensorFlow ${versions['TensorFlow']}`;
  return [
    wrap(`${date}, ${cpu}, ${cores} cores, ${versionsText}. Medians of rounds in which all ways take turns.`),
    ...disturbance(results),
    ...parts,
  ].join('\n\n');
}

/**
 * @param {Results} results
 * @returns {Part[]}
 */
function partsOf({ bytes, roundTrips, tensors }) {
  return [bandwidth(bytes), latency(bytes), tensorPart(tensors), roundTripPart(roundTrips)];
}

/** @param {Results['bytes']} bytes */
function bandwidth(bytes) {
  return {
    heading: 'Bandwidth, GiB a second',
    about:
      'Between two threads, with four messages on their way. `memcpy` copies within one thread, into as many places; the ring copies once, ' +
      'a clone twice. A transfer moves no bytes: its sender loses the buffer.',
    titles: ['message', 'memcpy', 'ring', 'clone', 'transfer'],
    rows: bytes.map(({ kibibytes, perMessageUs: { memcpy, ring, clone, transfer } }) => [
      sizeText(kibibytes),
      ...[memcpy, ring, clone, transfer].map(us => ((kibibytes / 2 ** 20 / us) * 1e6).toFixed(2)),
    ]),
    verdicts: [],
  };
}

/** @param {Results['bytes']} bytes */
function latency(bytes) {
  return {
    heading: 'Latency, microseconds one way',
    about:
      'One message back and forth, halved. Whoever waits on the ring falls asleep at once; `postMessage` wakes an event loop.',
    titles: ['message', 'one memcpy', 'ring', 'clone', 'transfer'],
    rows: bytes.map(({ kibibytes, perMessageUs, oneWayUs: { ring, clone, transfer } }) => [
      sizeText(kibibytes),
      ...[perMessageUs.memcpy, ring, clone, transfer].map(us => us.toFixed(1)),
    ]),
    verdicts: [],
  };
}

/** @param {Results['tensors']} tensors */
function tensorPart(tensors) {
  const heading = 'A 1 MiB tensor from worker to worker';
  const about =
    'From before a tensor of TensorFlow is sent in one worker until an operation in the other has made a tensor of it; back and forth, halved. ' +
    'Each way but those on one thread includes waking the receiver, unless it spins for as long as it waits.';
  if (tensors === undefined) {
    return {
      heading,
      about,
      titles: [],
      rows: [],
      verdicts: ['TensorFlow does not load here: not measured.'],
    };
  }
  const us = (/** @type {string} */ way) =>
    /** @type {number} */ (tensors.find(result => result.way === way)?.oneWayUs);
  const rings = TENSOR_SPIN_COUNTS.map(ringName).filter(name => us(name) !== undefined);
  const best = rings.reduce((least, name) => (us(name) < us(least) ? name : least));
  return {
    heading,
    about,
    titles: ['way', 'µs', 'memcpys'],
    rows: tensors.map(({ way, oneWayUs }) => [
      WAYS[way] ?? way,
      oneWayUs.toFixed(0),
      (oneWayUs / us('memcpy')).toFixed(2),
    ]),
    verdicts: [ringName(0), ...(best === ringName(0) ? [] : [best])].map(name => {
      const memcpys = us(name) / us('memcpy');
      const timesFaster = us('clone') / us(name);
      return (
        `${name}: ${memcpys.toFixed(2)} memcpys; asked are at most ${ASKED_MEMCPYS}: ${met(memcpys <= ASKED_MEMCPYS)}. ` +
        `${timesFaster.toFixed(1)} times as fast as dataSync, postMessage and tf.tensor; asked are ${ASKED_TIMES_FASTER}: ${met(timesFaster >= ASKED_TIMES_FASTER)}.`
      );
    }),
  };
}

/** @type {Readonly<Record<string, string>>} */
const WAYS = {
  memcpy: 'memcpy of 1 MiB, one thread',
  consume: 'the operation at the end, alone',
  toSlot: 'toSlot alone, one thread',
  fromSlot: 'fromSlot and the operation, one thread',
  clone: 'dataSync, postMessage (clone), tf.tensor',
  transfer: 'dataSync, postMessage (transfer), tf.tensor',
};

/** @param {Results['roundTrips']} roundTrips */
function roundTripPart(roundTrips) {
  const us = (/** @type {number} */ spinCount, /** @type {number} */ waitUs) =>
    /** @type {number} */ (
      roundTrips.find(result => result.spinCount === spinCount && result.waitUs === waitUs)?.roundTripUs
    );
  const busy = SPIN_COUNTS.map(spinCount => us(spinCount, BUSY_WAIT_US));
  const best = Math.min(...busy);
  const asleep = us(0, BUSY_WAIT_US);
  return {
    heading: 'Round trip of 64 bytes between two workers, microseconds',
    about:
      'By how often a waiting thread looks before it falls asleep, and how long the far worker has been waiting, having computed before, when the message comes. ' +
      'In the first column neither computes.',
    titles: ['spins', ...WAITS_US.map(waitUs => (waitUs === 0 ? 'no work' : `waiting for ${waitUs} µs`))],
    rows: SPIN_COUNTS.map(spinCount => [
      String(spinCount),
      ...WAITS_US.map(waitUs => us(spinCount, waitUs).toFixed(1)),
    ]),
    verdicts: [
      `Busy workers (a wait of ${BUSY_WAIT_US} µs) take ${asleep.toFixed(1)} µs without spinning, as Millrace's workers wait where they outnumber the cores; asked are less than ${ASKED_ROUND_TRIP_US}: ${met(asleep < ASKED_ROUND_TRIP_US)}.`,
      `The best of these spin counts is ${SPIN_COUNTS[busy.indexOf(best)]}, with ${best.toFixed(1)} µs: ${met(best < ASKED_ROUND_TRIP_US)}.`,
    ],
  };
}

/** @param {boolean} isMet */
function met(isMet) {
  return isMet ? 'met' : '**falls short**';
}

/** @param {number} kibibytes */
function sizeText(kibibytes) {
  return kibibytes < 1_024 ? `${kibibytes} KiB` : `${kibibytes / 1_024} MiB`;
}
