// @ts-check
/** Steps, their one-line reports, and the error that ends the run with a step's own exit code. */

export class StepFailed extends Error {
  /**
   * @param {string} step
   * @param {number} exitCode
   * @param {NodeJS.Signals | null} [signal]
   */
  constructor(step, exitCode, signal = null) {
    super(`${step} failed ${signal === null ? `with exit code ${exitCode}` : `by ${signal}`}`);
    this.name = 'StepFailed';
    this.exitCode = exitCode;
    this.signal = signal;
  }
}

/** @param {string} text */
export function say(text) {
  console.log(`millrace: ${text}`);
}

/**
 * Runs a step that says in a few words what it did, and prints them with the time it took.
 * @param {() => Promise<string>} step
 */
export async function timed(step) {
  const startMs = performance.now();
  const outcome = await step();
  say(`${outcome} (${formatMs(performance.now() - startMs)})`);
}

/** @param {number} ms */
export function formatMs(ms) {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}

/**
 * @param {string} step
 * @param {import('./child.mjs').ChildEnd} end
 */
export function throwIfFailed(step, end) {
  if (end.exitCode !== 0) throw new StepFailed(step, end.exitCode, end.signal);
}
