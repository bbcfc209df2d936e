// @ts-check
/** How much of the machine other programs took while something was measured: with a core less, threads wake and spin differently. */
import os from 'node:os';

/** Above this share the figures are not those of a quiet machine. */
export const QUIET_SHARE = 0.05;

/**
 * @returns {() => number} the share of all cores that others have taken since this call
 */
export function watchNeighbours() {
  const [allStart, ownStart] = [coreTimes(), process.cpuUsage()];
  return () => {
    const all = coreTimes();
    const own = process.cpuUsage(ownStart);
    return othersShare(
      { busyMs: all.busyMs - allStart.busyMs, totalMs: all.totalMs - allStart.totalMs },
      (own.user + own.system) / 1_000,
    );
  };
}

/**
 * @param {{ busyMs: number, totalMs: number }} all of all cores together
 * @param {number} ownMs
 */
export function othersShare({ busyMs, totalMs }, ownMs) {
  return totalMs === 0 ? 0 : Math.max(0, (busyMs - ownMs) / totalMs);
}

function coreTimes() {
  let [busyMs, totalMs] = [0, 0];
  for (const { times } of os.cpus()) {
    const sum = Object.values(times).reduce((total, ms) => total + ms, 0);
    totalMs += sum;
    busyMs += sum - times.idle;
  }
  return { busyMs, totalMs };
}
