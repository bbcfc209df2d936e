import { describe, expect, it } from 'vitest';
import { ReportQueue } from '#internal/scheduler/driver/report-queue.js';

describe('a report queue', () => {
  it('hands reports out in the order in which they came', async () => {
    const queue = new ReportQueue<string>();
    for (const report of ['a', 'b', 'c']) queue.push(report);
    expect(queue.isEmpty).toBe(false);
    expect(await queue.next()).toBe('a');
    expect(queue.take()).toBe('b');
    expect(await queue.next()).toBe('c');
    expect(queue.isEmpty).toBe(true);
  });

  it('takes nothing when it is empty', () => {
    expect(new ReportQueue<string>().take()).toBeUndefined();
  });

  it('gives a report straight to who waits for it, and keeps the one after', async () => {
    const queue = new ReportQueue<string>();
    const waiting = queue.next();
    queue.push('a');
    expect(queue.isEmpty).toBe(true);
    queue.push('b');
    expect(await waiting).toBe('a');
    expect(queue.take()).toBe('b');
  });

  it('stays pending until a report comes', async () => {
    const queue = new ReportQueue<string>();
    let isSettled = false;
    const waiting = queue.next().finally(() => {
      isSettled = true;
    });
    await Promise.resolve();
    expect(isSettled).toBe(false);
    queue.push('a');
    expect(await waiting).toBe('a');
  });

  it('can be waited on again after each report', async () => {
    const queue = new ReportQueue<number>();
    const seen: number[] = [];
    for (let report = 0; report < 5; report++) {
      const waiting = queue.next();
      queue.push(report);
      seen.push(await waiting);
    }
    expect(seen).toEqual([0, 1, 2, 3, 4]);
  });

  it('rejects who waits when it fails', async () => {
    const queue = new ReportQueue<string>();
    const error = new Error('a worker died');
    const waiting = queue.next();
    queue.fail(error);
    await expect(waiting).rejects.toBe(error);
  });

  it('hands out what came before the failure, and the failure to everybody after', async () => {
    const queue = new ReportQueue<string>();
    const error = new Error('a worker died');
    queue.push('a');
    queue.fail(error);
    expect(await queue.next()).toBe('a');
    await expect(queue.next()).rejects.toBe(error);
    await expect(queue.next()).rejects.toBe(error);
    expect(queue.take()).toBeUndefined();
  });

  it('keeps the first failure, even one without a value, and closing changes nothing after it', async () => {
    const failed = new ReportQueue<string>();
    failed.fail(undefined);
    failed.fail(new Error('the second'));
    failed.close();
    await expect(failed.next()).rejects.toBeUndefined();
  });

  it('tells who waits, and who will, that no report comes any more once it is closed', async () => {
    const queue = new ReportQueue<string>();
    const waiting = queue.next();
    queue.close();
    await expect(waiting).rejects.toThrow('The run has ended.');
    await expect(queue.next()).rejects.toThrow('The run has ended.');
  });
});
