// @ts-check
/** How a system comes to train as fast as it can, before anything is timed. */

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

/** What a stretch must be faster by than all before. */
const GAIN = 0.01;
/** So many stretches in a row without a gain are steady. */
const STEADY_STRETCHES = 4;
const WARM_UP_MS = 30_000;

/**
 * Trains until it gets no faster. V8 compiles whatever runs often, for the first ten seconds or more of training, and takes the time
 * from cores that are all at work: two replicas of an MLP take 7.5 ms a step in the first second, 5.2 after ten, 4.9 in the end.
 * @param {() => Promise<number>} train a stretch of steps; gives milliseconds a step
 * @returns {Promise<number>} of the fastest stretch
 */
export async function untilSteady(train) {
  const start = performance.now();
  let fastest = await train();
  let steady = 0;
  while (steady < STEADY_STRETCHES && performance.now() - start < WARM_UP_MS) {
    const ms = await train();
    const isFaster = ms <= fastest * (1 - GAIN);
    if (isFaster) fastest = ms;
    steady = isFaster ? 0 : steady + 1;
  }
  return fastest;
}
