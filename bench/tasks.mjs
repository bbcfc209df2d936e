#!/usr/bin/env node
// @ts-check
/**
 * `npm run bench:tasks`: eight trainings of a small network side by side, by `parallel()`, against one after another by plain
 * tfjs-node. Each system has a process of its own, and they take turns.
 *
 *   npm run bench:tasks -- --rounds 3
 */
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { Peer } from './run/peer.mjs';
import { spread } from './run/statistics.mjs';
import { CORES, ONE_THREAD } from './run/systems.mjs';
import { TRIAL_COUNT } from './tasks/trials.mjs';

/** Losses of the same training on the same engine: they differ by the order of sums. */
const TOLERANCE = 1e-3;

/** @param {string} text */
function count(text) {
  if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError('It must be a whole number of at least 1.');
  return Number(text);
}

const { rounds } = new Command('bench:tasks')
  .description(`Times ${TRIAL_COUNT} small trainings side by side and one after another.`)
  .option('--rounds <count>', 'turns of each system, after one to warm up', count, 5)
  .parse()
  .opts();

const program = fileURLToPath(new URL('peers/tasks.mjs', import.meta.url));
const systems = [
  { name: 'parallel()', args: [program, 'parallel'], env: {} },
  { name: 'tfjs-node', args: [program, 'plain'], env: {} },
  { name: 'tfjs-node, one thread', args: [program, 'plain'], env: ONE_THREAD },
].map(({ name, args, env }) => ({
  name,
  peer: new Peer(process.execPath, args, env),
  times: /** @type {number[]} */ ([]),
  losses: /** @type {number[]} */ ([]),
}));

try {
  for (let round = 0; round <= rounds; round++) {
    for (const system of systems) {
      const { ms, losses } = await system.peer.ask('time');
      if (round > 0) system.times.push(ms);
      system.losses = losses;
    }
  }
} finally {
  await Promise.all(systems.map(({ peer }) => peer.end()));
}

// Nobody is to time different work.
const [ours, ...others] = systems;
for (const { name, losses } of others) {
  const apart = Math.max(
    ...losses.map((loss, trial) => Math.abs(loss - (ours?.losses[trial] ?? Number.NaN))),
  );
  if (!(apart < TOLERANCE)) throw new Error(`the losses of parallel() and ${name} are ${apart} apart`);
}
console.log(`${TRIAL_COUNT} trials, ${CORES} cores, ${rounds} rounds; milliseconds for all of them\n`);
const medianOfOurs = spread(ours?.times ?? []).median;
for (const { name, times } of systems) {
  const { median, min, max } = spread(times);
  const ratio = name === ours?.name ? '' : `  parallel() takes ${(medianOfOurs / median).toFixed(2)} of it`;
  console.log(
    `${name.padEnd(24)}${median.toFixed(0).padStart(7)}  (${min.toFixed(0)} to ${max.toFixed(0)})${ratio}`,
  );
}
