/** The one clock that all threads of the process share: monotonic milliseconds from an unspecified origin. */
export function nowMs(): number {
  // `performance.now()` starts anew in every worker; the high-resolution timer does not.
  return Number(process.hrtime.bigint()) / 1e6;
}
