#!/usr/bin/env node
// @ts-check
/**
 * `npm run test:equality`: the random models of `npm test` in large numbers, on every backend that loads here. Writes
 * docs/equality.md after every piece, so that a run that was broken off leaves a true record of what it did.
 *
 *   MILLRACE_EQUALITY_MODELS   how many models in all (5,000)
 *   MILLRACE_EQUALITY_SEED     seed of the first piece (1); each piece takes the next
 *   MILLRACE_EQUALITY_JOBS     pieces that run at the same time (1); each of them uses up to four cores
 *   MILLRACE_TEST_BACKENDS     backends, separated by commas
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { writeReport } from './equality/report.mjs';
import { runInForeground } from './run/child.mjs';
import { clonePaths } from './run/paths.mjs';

/** A new process for so many models, so that nothing piles up; backends take turns. */
const MODELS_PER_PIECE = 100;
const TEST = 'test/equality/random-models/random-models.test.ts';

/** @param {number} value */
const isCount = value => Number.isInteger(value) && value > 0;

const clone = clonePaths();
const wanted = Number(process.env['MILLRACE_EQUALITY_MODELS'] || 5_000);
const firstSeed = Number(process.env['MILLRACE_EQUALITY_SEED'] || 1);
const backends = (process.env['MILLRACE_TEST_BACKENDS'] || 'cpu,tensorflow,wasm').split(',');
const jobs = Number(process.env['MILLRACE_EQUALITY_JOBS'] || 1);
if (!(isCount(wanted) && isCount(jobs) && Number.isInteger(firstSeed))) {
  console.error(
    'MILLRACE_EQUALITY_MODELS, MILLRACE_EQUALITY_JOBS and MILLRACE_EQUALITY_SEED take whole numbers',
  );
  process.exit(1);
}

const scratch = mkdtempSync(path.join(tmpdir(), 'millrace-equality-'));
/** @type {import('./equality/report.mjs').Piece[]} */
const pieces = [];
const pieceCount = Math.ceil(wanted / MODELS_PER_PIECE);
let next = 0;
let isInterrupted = false;

/** @param {number} index */
async function runPiece(index) {
  const backend = /** @type {string} */ (backends[index % backends.length]);
  const count = Math.min(MODELS_PER_PIECE, wanted - index * MODELS_PER_PIECE);
  const seed = firstSeed + index;
  const record = path.join(scratch, `${index}.json`);
  const env = {
    ...process.env,
    MILLRACE_TEST_BACKENDS: backend,
    MILLRACE_EQUALITY_MODELS: String(count),
    MILLRACE_EQUALITY_SEED: String(seed),
    MILLRACE_EQUALITY_RECORD: record,
  };
  const vitest = path.join(clone.nodeModules, 'vitest/vitest.mjs');
  const end = await runInForeground(process.execPath, [vitest, 'run', TEST], { cwd: clone.root, env });
  // Interrupted, which vitest reports as a shell would: half a piece says nothing.
  isInterrupted ||= end.signal !== null || end.exitCode > 128;
  if (isInterrupted) return;
  const tallies = end.exitCode === 0 ? JSON.parse(readFileSync(record, 'utf8')) : undefined;
  pieces.push({ backend, count, seed, tallies });
  pieces.sort((one, other) => one.seed - other.seed);
  writeReport(clone.root, pieces, wanted);
}

async function runPieces() {
  while (next < pieceCount && !isInterrupted) await runPiece(next++);
}

try {
  const ends = await Promise.allSettled(Array.from({ length: jobs }, runPieces));
  const failed = ends.find(end => end.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
if (pieces.some(({ tallies }) => tallies === undefined)) process.exitCode = 1;
