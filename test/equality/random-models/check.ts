/** Runs random jobs and, when one fails, shrinks it and says how it can be seen again. */
import * as fc from 'fast-check';
import type { BackendName } from '../../helpers/backends.js';
import type { CheckedShelf } from '../../helpers/checked-shelf.js';
import { cases } from './arbitrary.js';
import { Differences } from './differences.js';
import { printCase } from './print.js';
import { runCase } from './run-case.js';
import type { CaseSpec } from './spec.js';

/** Jobs that may be run to shrink a failing one. */
const MAX_SHRINKING_RUNS = 400;

export interface Check {
  readonly backend: BackendName;
  readonly count: number;
  readonly seed: number;
  /** Where in the tree of that seed to begin, as a failure has printed it. */
  readonly path?: string;
  /** Workers that the trainers share. */
  readonly threads: CheckedShelf;
}

/** @throws Error with the shrunk job and the seed, at the first job whose numbers are not plain tfjs's */
export async function checkRandomModels(check: Check): Promise<Differences> {
  const { backend, count, seed, path = '', threads } = check;
  const differences = new Differences();
  let shrinkingRuns = 0;
  let hasFailed = false;
  const property = fc.asyncProperty(cases, async job => {
    if (hasFailed && ++shrinkingRuns > MAX_SHRINKING_RUNS) return;
    try {
      await runCase(job, backend, differences, threads);
    } catch (error) {
      hasFailed = true;
      throw error;
    }
  });
  const outcome = await fc.check(property, { numRuns: count, seed, ...(path === '' ? {} : { path }) });
  if (!outcome.failed) return differences;
  const [job] = outcome.counterexample as [CaseSpec];
  throw new Error(
    [
      `A random model does not train as in plain tfjs on ${backend} (job ${outcome.numRuns}, shrunk ${outcome.numShrinks} times).`,
      `Again: MILLRACE_EQUALITY_SEED=${seed} MILLRACE_EQUALITY_PATH=${outcome.counterexamplePath}`,
      '',
      printCase(job),
      '',
      (outcome.errorInstance as Error | undefined)?.message ?? 'no error was given',
    ].join('\n'),
    { cause: outcome.errorInstance },
  );
}
