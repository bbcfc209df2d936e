/** `trainer.plan` as a picture in letters: what each worker does when, to scale where the layers were measured. */
import type { Plan } from '../plan.js';
import { actionCostOf, drawSchedule, simulateSchedule, unitCost } from '../scheduler/plan/index.js';

/** Of a stream that is no terminal. */
const USUAL_COLUMNS = 120;
/** Room for the names of workers, and for the mark of what is cut off. */
const LABEL_COLUMNS = 14;
const MOST_WORKERS = 32;

/**
 * One mini-batch. What is too wide is drawn at a smaller scale, and cut off where even that does not do.
 *
 * @param columns width of the terminal in characters
 */
export function drawPlan({ schedule, costs, recompute }: Plan, columns = USUAL_COLUMNS): string {
  const cost = costs === undefined ? unitCost : actionCostOf(costs);
  const options = { recompute, cost };
  const picture = drawSchedule(schedule, {
    ...options,
    window: { columns: Infinity, workers: MOST_WORKERS },
  });
  if (widest(picture.split('\n')) <= columns) return picture;
  // Every column is as wide as the longest text that is drawn.
  const cellWidth = widest([...picture.matchAll(/\d+[FBWR][\d,]+/g)].map(([text]) => text)) + 1;
  const shown = Math.max(4, Math.floor((columns - LABEL_COLUMNS) / cellWidth));
  // Below a column an action, workers would seem to start together that wait for each other.
  const actions = schedule.orders.flat();
  const meanTime = actions.reduce((sum, action) => sum + cost(action), 0) / actions.length;
  return drawSchedule(schedule, {
    ...options,
    columnTime: Math.min(meanTime, simulateSchedule(schedule, options).makespan / shown),
    window: { columns: shown, workers: MOST_WORKERS },
  });
}

function widest(texts: readonly string[]): number {
  return texts.reduce((most, { length }) => Math.max(most, length), 0);
}
