// @ts-check
/** The few statistics that the benchmarks quote: times as medians with their spread, ratios as geometric means. */

/**
 * @param {readonly number[]} values at least one
 * @returns {number}
 */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = /** @type {number} */ (sorted[middle]);
  const lower = /** @type {number} */ (sorted.length % 2 === 1 ? upper : sorted[middle - 1]);
  return (lower + upper) / 2;
}

/**
 * @param {readonly number[]} values at least one
 * @returns {{ median: number, min: number, max: number }}
 */
export function spread(values) {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/**
 * The mean of ratios: it is the same whichever of two systems is the one divided by.
 * @param {readonly number[]} values at least one, all above 0
 * @returns {number}
 */
export function geometricMean(values) {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}
