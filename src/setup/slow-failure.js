/** Which failures are remembered: those that cost time, and for an hour. Whoever follows the advice meanwhile asks for a set-up. */

const SLOW_FAILURE_MS = 5_000;
const REMEMBERED_MS = 60 * 60_000;

/**
 * @param {number} spentMs
 * @param {string} writtenAt ISO 8601
 * @returns {boolean}
 */
export function failedSlowlyJustNow(spentMs, writtenAt) {
  const ageMs = Date.now() - Date.parse(writtenAt);
  return spentMs > SLOW_FAILURE_MS && ageMs >= 0 && ageMs < REMEMBERED_MS;
}
