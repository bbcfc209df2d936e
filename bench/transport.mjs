#!/usr/bin/env node
// @ts-check
/**
 * `npm run bench:transport`: what it costs to move bytes and tensors between threads.
 *
 *   npm run bench:transport -- --quick
 *
 * A whole run (not quick) also writes its section of docs/performance.md.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { describeRun } from './run/machine.mjs';
import { withSection } from './run/markdown.mjs';
import { PERFORMANCE_PAGE } from './run/report.mjs';
import { measureBytes } from './transport/bytes.mjs';
import { watchNeighbours } from './transport/neighbours.mjs';
import { transportMarkdown, transportText } from './transport/report.mjs';
import { measureRoundTrips } from './transport/round-trips.mjs';
import { measureTensors } from './transport/tensors.mjs';

const { quick } = new Command('bench:transport')
  .description('Times messages and tensors between threads: ring, postMessage, memcpy.')
  .option('--quick', 'fewer rounds; docs/performance.md stays as it is', false)
  .parse()
  .opts();
const rounds = quick ? 2 : 7;

const neighbours = watchNeighbours();
const measured = {
  bytes: await measureBytes({ rounds, mebibytes: quick ? 32 : 128 }),
  tensors: await measureTensors({ rounds, count: quick ? 100 : 300 }),
  roundTrips: await measureRoundTrips({ rounds, count: quick ? 300 : 2_000 }),
};
const results = { ...measured, othersShare: neighbours() };
console.log(transportText(results));
if (!quick) {
  const page = existsSync(PERFORMANCE_PAGE) ? readFileSync(PERFORMANCE_PAGE, 'utf8') : '# Performance\n';
  writeFileSync(PERFORMANCE_PAGE, withSection(page, 'transport', transportMarkdown(results, describeRun())));
}
