/** `trainer.plan` as a picture in letters: what each worker does when, to scale where the layers were measured. */
import type { Plan } from '../plan.js';
import { actionCostOf, drawSchedule } from '../scheduler/plan/index.js';

/** Of a stream that is no terminal. */
const USUAL_COLUMNS = 120;
/** Room that the names of workers take, and what a column may be wider than its text. */
const LABEL_COLUMNS = 12;
const MOST_WORKERS = 32;

/** @param columns width of the terminal in characters */
export function drawPlan(plan: Plan, columns = USUAL_COLUMNS): string {
  const { schedule, costs, recompute } = plan;
  const options = { recompute, ...(costs && { cost: actionCostOf(costs) }) };
  // How wide a column is follows from the longest text that is drawn.
  const cellWidth = widestCell(drawSchedule(schedule, options)) + 1;
  const shown = Math.max(4, Math.floor((columns - LABEL_COLUMNS) / cellWidth));
  return drawSchedule(schedule, { ...options, window: { columns: shown, workers: MOST_WORKERS } });
}

/** Dashes lengthen an action to its time. */
function widestCell(picture: string): number {
  return Math.max(1, ...[...picture.matchAll(/\d+[FBWR][\d,]+/g)].map(([text]) => text.length));
}
