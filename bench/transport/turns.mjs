// @ts-check
/** Candidates that take turns, so that a disturbance of the machine hits all of them alike. */
import { median } from '../run/statistics.mjs';

/**
 * Runs every candidate in turn, `rounds` times after one turn to warm up.
 * @template {string} Name
 * @param {Readonly<Record<Name, () => Promise<number[]> | number[]>>} candidates each gives microseconds, one or many a turn
 * @param {number} rounds
 * @returns {Promise<Record<Name, number>>} the median of each
 */
export async function takeTurns(candidates, rounds) {
  const names = /** @type {Name[]} */ (Object.keys(candidates));
  /** @type {Map<Name, number[]>} */
  const times = new Map(names.map(name => [name, []]));
  for (let round = 0; round <= rounds; round++) {
    for (const name of names) {
      const measured = await candidates[name]();
      if (round > 0) times.get(name)?.push(...measured);
    }
  }
  return /** @type {Record<Name, number>} */ (
    Object.fromEntries([...times].map(([name, values]) => [name, median(values)]))
  );
}

/**
 * @param {number} count of what is timed together
 * @param {() => Promise<void> | void} run
 * @returns {Promise<number[]>} microseconds for one of them
 */
export async function timeTogether(count, run) {
  const startMs = performance.now();
  await run();
  return [((performance.now() - startMs) * 1_000) / count];
}
