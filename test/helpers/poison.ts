/** What goes on reading a slot that was given back shows as NaN. */
import { afterAll, beforeAll } from 'vitest';

const POISON = 'MILLRACE_POISON_SLOTS';

/** In all tests of the calling group, freed slots are filled with NaN. */
export function poisonFreedSlots(): void {
  let before: string | undefined;
  beforeAll(() => {
    before = process.env[POISON];
    process.env[POISON] = '1';
  });
  afterAll(() => {
    if (before === undefined) delete process.env[POISON];
    else process.env[POISON] = before;
  });
}
