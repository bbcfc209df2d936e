// @ts-check
/** What a plan that is left to Millrace has to settle in; it measures the layers after 20 s. */
const SETTLING_MS = 90_000;

/**
 * Trains until no other plan is tried any more: what is timed afterwards is the choice, not the way to it.
 * @param {() => boolean | Promise<boolean>} isSettled
 * @param {() => Promise<unknown>} train a stretch of steps
 */
export async function settle(isSettled, train) {
  const start = performance.now();
  while (performance.now() - start < SETTLING_MS && !(await isSettled())) await train();
}
