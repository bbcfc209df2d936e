/** Which engine is used, and what happens when one does not load in the workers. */
import { BackendError } from 'millrace';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { type BackendChoice, withBackend } from '#internal/backends/index.js';

beforeEach(() => vi.stubEnv('MILLRACE_BACKEND', undefined));
afterEach(() => vi.unstubAllEnvs());

/** Starts on nothing but `usable`; notes what it was offered. */
function starter(usable: string | undefined) {
  const offered: BackendChoice[] = [];
  const start = async (choice: BackendChoice): Promise<string> => {
    offered.push(choice);
    if (choice.name !== usable) throw new BackendError(choice.name, `no ${choice.name} in a worker`);
    return choice.name;
  };
  return { offered, start };
}

it('auto falls back as far as cpu when workers cannot load an engine, and warns', async () => {
  const { offered, start } = starter('cpu');
  expect(await withBackend('auto', start)).toBe('cpu');
  expect(offered.slice(-2).map(({ name }) => name)).toEqual(['wasm', 'cpu']);
  const { reason, warnings } = offered.at(-1)!;
  expect(reason).toMatch(/tensorflow is not available: .*wasm is not available: no wasm in a worker/);
  expect(warnings.join()).toMatch(/slower backend 'cpu'.*no wasm in a worker/);
});

it('auto gives up when none loads, and says why for each', async () => {
  await expect(withBackend('auto', starter(undefined).start)).rejects.toMatchObject({
    name: 'BackendError',
    message: expect.stringMatching(/tensorflow.*wasm.*no cpu in a worker/),
  });
});

it('auto passes on what is no fault of the engine', async () => {
  const start = vi.fn(async () => {
    throw new RangeError('a bad model');
  });
  await expect(withBackend('auto', start)).rejects.toThrow('a bad model');
  expect(start).toHaveBeenCalledTimes(1);
});

it('a backend that is asked for, or forced, is never replaced', async () => {
  await expect(withBackend('wasm', starter('cpu').start)).rejects.toThrow('no wasm in a worker');
  vi.stubEnv('MILLRACE_BACKEND', 'wasm');
  await expect(withBackend('auto', starter('cpu').start)).rejects.toThrow('no wasm in a worker');
});
