#!/usr/bin/env node
// @ts-check
/**
 * `npm run bench:schedules`: whether schedules take in real workers what the simulator says, on stages that only take time.
 *
 *   npm run bench:schedules -- --workers 2,4
 */
import { Command } from 'commander';
import { measureSchedules, SHARE_MS } from './schedules/measure.mjs';
import { schedulesText } from './schedules/report.mjs';
import { watchNeighbours } from './transport/neighbours.mjs';

const { workers, rounds } = new Command('bench:schedules')
  .description('Times every schedule on stages that sleep, beside its simulation.')
  .option(
    '--workers <counts>',
    'how many workers, separated by commas',
    (/** @type {string} */ text) => text.split(',').map(Number),
    [2, 4, 8],
  )
  .option('--rounds <count>', 'mini-batches a schedule, of which the median counts', Number, 5)
  .parse()
  .opts();

const neighbours = watchNeighbours();
const results = await measureSchedules({ workerCounts: workers, rounds });
const { forward, backwardInput, backwardWeight } = SHARE_MS;
console.log(
  `F ${forward} ms, B ${backwardInput} ms, W ${backwardWeight} ms of a worker's whole share; 2 micro-batches a worker.\n`,
);
console.log(schedulesText(results));
console.log(`Other programs took ${(100 * neighbours()).toFixed(0)} % of the cores meanwhile.`);
