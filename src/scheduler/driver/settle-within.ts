/** Waits until every promise has settled, however it did, but no longer than a patience, if there is one. */
export async function settleWithin(
  work: readonly Promise<unknown>[],
  patienceMs: number | undefined,
): Promise<void> {
  const settled = Promise.allSettled(work);
  if (patienceMs === undefined) {
    await settled;
    return;
  }
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<void>(resolve => {
    timer = setTimeout(resolve, patienceMs);
  });
  await Promise.race([settled, patience]);
  clearTimeout(timer);
}
