#!/usr/bin/env node
// @ts-check
/** Prints the table of docs/partition.md: `node bench/partition-gap.mjs`, once `npm start` or `npm test` has built everything. */
import { contiguousBottleneck, leastAcyclicBottleneck } from './partition/acyclic.mjs';
import { randomGraph, seededRandom } from './partition/random-graphs.mjs';
import { table } from './run/markdown.mjs';
import { median } from './run/statistics.mjs';

const GRAPH_COUNT = 200;
const UNIT_COUNT = 10;
const FORMS = [
  { name: 'a chain with short skips', reach: 2, readCount: 2 },
  { name: 'branches', reach: 4, readCount: 2 },
  { name: 'hardly a chain', reach: 10, readCount: 1 },
];
const TRANSPORTS = [
  { name: 'free', transport: { msPerMessage: 0, msPerByte: 0 } },
  { name: 'a tenth of a layer', transport: { msPerMessage: 0, msPerByte: 0.1 } },
];

const rows = FORMS.flatMap(({ name, ...form }) =>
  TRANSPORTS.flatMap(({ name: price, transport }) =>
    [2, 3, 4].map(stageCount => {
      const random = seededRandom(stageCount);
      const gaps = Array.from({ length: GRAPH_COUNT }, () => {
        const graph = randomGraph(random, { unitCount: UNIT_COUNT, ...form });
        const least = leastAcyclicBottleneck(graph, stageCount, transport);
        return contiguousBottleneck(graph, stageCount, transport) / least - 1;
      });
      const none = gaps.filter(gap => gap < 1e-9).length / GRAPH_COUNT;
      const percent = (/** @type {number} */ part) => `${(100 * part).toFixed(1)} %`;
      return [
        name,
        price,
        String(stageCount),
        percent(none),
        percent(median(gaps)),
        percent(Math.max(...gaps)),
      ];
    }),
  ),
);
console.log(table(['graphs', 'a message costs', 'stages', 'no gap', 'median', 'largest'], rows, 2));
