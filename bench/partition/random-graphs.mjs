// @ts-check
/** Random graphs of layers: chains with branches and skips, or hardly a chain at all. */

/**
 * @param {number} seed
 * @returns {() => number} numbers from 0 to below 1 (Park and Miller 1988)
 */
export function seededRandom(seed) {
  let state = 1 + (seed % 2_147_483_646);
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

/**
 * @param {() => number} random
 * @param {{ unitCount: number, reach: number, readCount: number }} form every unit reads 1 to `readCount` of the `reach` before it
 * @returns {import('./acyclic.mjs').Graph}
 */
export function randomGraph(random, { unitCount, reach, readCount }) {
  const upTo = (/** @type {number} */ most) => 1 + Math.floor(random() * most);
  const units = Array.from({ length: unitCount });
  return {
    ms: units.map(() => upTo(100)),
    bytes: units.map(() => upTo(100)),
    reads: units.map((_, unit) => {
      if (unit === 0) return [];
      const wanted = upTo(readCount);
      return [...new Set(Array.from({ length: wanted }, () => Math.max(0, unit - upTo(reach))))];
    }),
  };
}
