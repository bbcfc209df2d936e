/** Control calls to workers: what they answer, and what is left of a call once it is answered. */
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { StageError } from 'millrace';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { WorkerPool } from '#internal/scheduler/driver/worker-pool.js';
import { nullPool } from '../helpers/null-pool.js';
import { refusal } from '../pipeline/helpers.js';

let pool: WorkerPool;
beforeEach(async () => {
  pool = await WorkerPool.start(nullPool(1));
});
afterEach(() => pool.close());

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

it('an answer is forgotten by the pool once the caller has forgotten it', async () => {
  const answers: WeakRef<object>[] = [];
  for (let call = 0; call < 20; call++) answers.push(new WeakRef(await pool.worker(0).memory()));
  // A WeakRef keeps its target until the end of the job that made or read it.
  await setImmediate();
  collectGarbage();
  const kept = answers.filter(answer => answer.deref() !== undefined).length;
  // The last one may still be in a register of this function.
  expect(kept).toBeLessThanOrEqual(1);
});

it('a call to a worker that has ended is rejected with the reason', async () => {
  await pool.close();
  const error = await refusal(() => pool.worker(0).memory());
  expect(error).toBeInstanceOf(StageError);
  expect(error).toMatchObject({ worker: 0, message: expect.stringMatching(/closed|ended/) });
});
