import { spawnSync } from 'node:child_process';
import { existsSync, utimesSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { withLock } from '#internal/setup/lock.js';
import { temporaryDirectory, writeFiles } from './fixtures.js';

const QUICK = { pollMs: 1, heartbeatMs: 10, silentAfterMs: 60_000, giveUpAfterMs: 60_000 };

function lockPath(): string {
  return path.join(temporaryDirectory(), 'lock');
}

function heldBy(lock: string, owner: object): void {
  writeFiles(lock, { 'owner.json': JSON.stringify(owner) });
}

describe('the lock', () => {
  it('lets one in at a time and says for whom the other waits', async () => {
    const lock = lockPath();
    const order: string[] = [];
    const waiting = gate<string>();
    const first = withLock(
      lock,
      async () => {
        order.push('first in');
        // Held until the second is known to wait: the order below cannot come about by luck.
        expect(await waiting.promise).toContain(`process ${process.pid}`);
        order.push('first out');
      },
      { times: QUICK },
    );
    await expect.poll(() => existsSync(lock)).toBe(true);
    const second = withLock(lock, async () => void order.push('second in'), {
      times: QUICK,
      onWait: waiting.resolve,
    });
    await Promise.all([first, second]);
    expect(order).toEqual(['first in', 'first out', 'second in']);
    expect(existsSync(lock)).toBe(false);
  });

  it('is released when the work fails', async () => {
    const lock = lockPath();
    const failing = withLock(lock, () => Promise.reject(new Error('the work failed')));
    await expect(failing).rejects.toThrow('the work failed');
    expect(existsSync(lock)).toBe(false);
  });

  it('is released when its holder ends early', () => {
    const lock = lockPath();
    const url = new URL('../../dist/setup/lock.js', import.meta.url).href;
    const program = `
      import { withLock } from ${JSON.stringify(url)};
      await withLock(${JSON.stringify(lock)}, () => process.kill(process.pid, 'SIGTERM') && new Promise(() => {}));`;
    const { signal } = spawnSync(process.execPath, ['--input-type=module', '-e', program]);
    expect(signal).toBe('SIGTERM');
    expect(existsSync(lock)).toBe(false);
  });

  it('is taken over from a process that is gone', async () => {
    const lock = lockPath();
    const { pid } = spawnSync(process.execPath, ['--version']);
    heldBy(lock, { pid, host: os.hostname() });
    expect(await withLock(lock, async () => 'worked', { times: QUICK })).toBe('worked');
  });

  it('is taken over from another machine that has been silent', async () => {
    const lock = lockPath();
    heldBy(lock, { pid: process.pid, host: 'another-machine' });
    utimesSync(lock, new Date(0), new Date(0));
    expect(await withLock(lock, async () => 'worked', { times: QUICK })).toBe('worked');
  });

  it('gives up on a living owner with an error that names it', async () => {
    const lock = lockPath();
    heldBy(lock, { pid: process.pid, host: os.hostname() });
    const waiting = withLock(lock, async () => {}, { times: { ...QUICK, giveUpAfterMs: 20 } });
    await expect(waiting).rejects.toThrow(`another set-up (process ${process.pid} on ${os.hostname()})`);
    expect(existsSync(lock)).toBe(true);
  });
});

function gate<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>(settle => {
    resolve = settle;
  });
  return { promise, resolve };
}
