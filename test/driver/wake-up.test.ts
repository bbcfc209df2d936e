/** What ends the driver's sleep. */
import { expect, it } from 'vitest';
import { WakeUp } from '#internal/scheduler/driver/wake-up.js';
import { ControlBlock } from '#internal/transport/index.js';

const NEVER_MS = 600_000;

function sleeper() {
  const control = ControlBlock.create(0);
  const wakeUp = new WakeUp(control);
  let sleeps = 0;
  return {
    control,
    wakeUp,
    sleep: async (bell = control.bell, timeoutMs = NEVER_MS): Promise<number> => {
      await wakeUp.sleep(bell, timeoutMs);
      sleeps += 1;
      return sleeps;
    },
  };
}

it('is the bell, or news of the thread itself, whichever comes first', async () => {
  const { control, wakeUp, sleep } = sleeper();
  const first = sleep();
  control.ring();
  expect(await first).toBe(1);
  const second = sleep();
  wakeUp.notify();
  expect(await second).toBe(2);
});

it('was not missed where it came before the sleep, and counts once', async () => {
  const { control, wakeUp, sleep } = sleeper();
  const seen = control.bell;
  control.ring();
  expect(await sleep(seen)).toBe(1);
  wakeUp.notify();
  wakeUp.notify();
  expect(await sleep(control.bell, 20)).toBe(2);
  // Nothing is left over: only the timeout ends this one.
  const startMs = performance.now();
  expect(await sleep(control.bell, 20)).toBe(3);
  expect(performance.now() - startMs).toBeGreaterThan(10);
});

it('may be a ring that an earlier sleep has waited for', async () => {
  const { control, wakeUp, sleep } = sleeper();
  const first = sleep();
  wakeUp.notify();
  await first;
  const second = sleep();
  control.ring();
  expect(await second).toBe(2);
  const third = sleep();
  control.ring();
  expect(await third).toBe(3);
});
