/** Threads that go from one pool to the next: which pools may share one, and which threads are not used again. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { AbortReason } from '#internal/protocol/control.js';
import { type PoolOptions, WorkerPool } from '#internal/scheduler/driver/worker-pool.js';
import { WorkerShelf } from '#internal/scheduler/driver/worker-shelf.js';
import { nullPool } from '../helpers/null-pool.js';
import { temporaryDirectory } from '../io/support.js';
import { refusal } from '../pipeline/helpers.js';

const OPTIONS: PoolOptions = nullPool(1);

const shelves: WorkerShelf[] = [];
const pools: WorkerPool[] = [];

function newShelf(mostThreads = 2): WorkerShelf {
  const shelf = new WorkerShelf(mostThreads);
  shelves.push(shelf);
  return shelf;
}

async function startOn(threads: WorkerShelf, options: Partial<PoolOptions> = {}): Promise<WorkerPool> {
  const pool = await WorkerPool.start({ ...OPTIONS, ...options }, { threads });
  pools.push(pool);
  return pool;
}

const threadIds = ({ infos }: WorkerPool): number[] => infos.map(({ threadId }) => threadId);

afterEach(async () => {
  await Promise.all(pools.splice(0).map(pool => pool.close()));
  await Promise.all(shelves.splice(0).map(shelf => shelf.close()));
});

/** A module that says in a file when it is imported. */
async function moduleThatTells(): Promise<{ readonly path: string; readonly log: string }> {
  const directory = await temporaryDirectory();
  const [path, log] = [join(directory, 'setup.mjs'), join(directory, 'log')];
  await writeFile(
    path,
    `import { appendFileSync } from 'node:fs'; appendFileSync(${JSON.stringify(log)}, 'imported\\n');`,
  );
  return { path, log };
}

describe('a thread whose pool was closed', () => {
  it('is a worker of the next pool of its kind, whatever its seed and batch normalization', async () => {
    const shelf = newShelf();
    const first = await startOn(shelf);
    await first.close();
    const second = await startOn(shelf, { seed: 7, batchNorm: 'deferred' });
    expect(threadIds(second)).toEqual(threadIds(first));
    expect(second.control.isAborted).toBe(false);
    await expect(second.worker(0).memory()).resolves.toMatchObject({ tensorCount: 0 });
  });

  it('is not shared while it is in use, and joins a larger pool afterwards', async () => {
    const shelf = newShelf();
    const [first, second] = [await startOn(shelf), await startOn(shelf)];
    expect(threadIds(second)).not.toEqual(threadIds(first));
    await Promise.all([first.close(), second.close()]);
    const both = await startOn(shelf, { workerCount: 2 });
    expect(threadIds(both).sort()).toEqual([...threadIds(first), ...threadIds(second)].sort());
  });

  it('keeps the modules that it has imported, and so goes only where they are wanted', async () => {
    const shelf = newShelf();
    const { path, log } = await moduleThatTells();
    const first = await startOn(shelf, { setup: [path] });
    await first.close();
    const plain = await startOn(shelf);
    expect(threadIds(plain)).not.toEqual(threadIds(first));
    const second = await startOn(shelf, { setup: [path] });
    expect(threadIds(second)).toEqual(threadIds(first));
    expect(await readFile(log, 'utf8')).toBe('imported\n');
  });

  it('makes room for one of another kind where there would be too many', async () => {
    const shelf = newShelf(1);
    const first = await startOn(shelf);
    await first.close();
    const { path } = await moduleThatTells();
    await (await startOn(shelf, { setup: [path] })).close();
    const third = await startOn(shelf);
    expect(threadIds(third)).not.toEqual(threadIds(first));
  });

  it('forgets what the pool had failed at: its calls answer again', async () => {
    const shelf = newShelf();
    const first = await startOn(shelf);
    // The null backend builds nothing.
    await refusal(() =>
      first.worker(0).build([], {
        optimizer: { className: 'SGD', config: {} },
        losses: [],
        lossWeights: [],
        metrics: [],
        outputs: [],
      }),
    );
    await first.close();
    const second = await startOn(shelf);
    await expect(second.worker(0).memory()).resolves.toMatchObject({ tensorCount: 0 });
  });
});

it('a closed pool reaches its threads no more, whoever has them now', async () => {
  const shelf = newShelf();
  const first = await startOn(shelf);
  await first.close();
  const second = await startOn(shelf);
  expect(threadIds(second)).toEqual(threadIds(first));
  const error = await refusal(() => first.worker(0).memory());
  expect(error).toMatchObject({ worker: 0, message: expect.stringContaining('closed') });
});

describe('a thread is not used again', () => {
  it.each(['failed', 'stalled', 'lost'] as const)('when its run was aborted as %s', async reason => {
    const shelf = newShelf();
    const first = await startOn(shelf);
    first.control.abort(AbortReason[reason]);
    await first.close();
    expect(threadIds(await startOn(shelf))).not.toEqual(threadIds(first));
  });

  it('when it has died', async () => {
    const shelf = newShelf();
    const first = await startOn(shelf);
    first.giveUp(0);
    await first.close();
    expect(threadIds(await startOn(shelf))).not.toEqual(threadIds(first));
  });

  it('when it could not become a worker', async () => {
    const shelf = newShelf(1);
    const missing = join(await temporaryDirectory(), 'missing.mjs');
    const error = await refusal(() => startOn(shelf, { setup: [missing] }));
    expect(error.message).toContain('missing.mjs');
    await expect(startOn(shelf)).resolves.toBeInstanceOf(WorkerPool);
  });
});

describe('a shelf', () => {
  it('tells its pools how many workers may compute at once, so that they spin only where each has a core', async () => {
    const shelf = newShelf(3);
    expect((await startOn(shelf)).activeWorkerCount).toBe(3);
    expect((await startOn(shelf, { workerCount: 4 })).activeWorkerCount).toBe(4);
    const alone = await WorkerPool.start(OPTIONS);
    pools.push(alone);
    expect(alone.activeWorkerCount).toBe(1);
  });

  it('gives no threads once it is closed, and ends those that come back', async () => {
    const shelf = newShelf();
    const pool = await startOn(shelf);
    await shelf.close();
    const { name } = await refusal(() => startOn(shelf));
    expect(name).toBe('StateError');
    await pool.close();
    const error = await refusal(() => pool.worker(0).memory());
    expect(error.message).toMatch(/closed|ended/);
  });

  it('does not start what is not wanted any more', async () => {
    const shelf = newShelf();
    const abort = new AbortController();
    const starting = refusal(() => WorkerPool.start(OPTIONS, { threads: shelf, signal: abort.signal }));
    abort.abort();
    expect((await starting).name).toBe('StageError');
  });
});
