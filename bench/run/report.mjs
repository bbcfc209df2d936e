// @ts-check
export function formatResults(rows) {
  return rows
    .map(
      r =>
        `${[r.system, r.backend, r.plan].filter(Boolean).join(' ').padEnd(40)} ${r.msPerStep.median.toFixed(2).padStart(9)} (${r.msPerStep.min.toFixed(2)}–${r.msPerStep.max.toFixed(2)}) m=${r.microBatches} start=${r.startMs?.toFixed(0)}`,
    )
    .join('\n');
}
export function writePerformancePage() {}
