/** `trainer.timeline()`: what the workers did in the last training steps, beside what the plan expected of them. */

import { availableParallelism } from 'node:os';
import { median } from '../../median.js';
import type { Plan } from '../../plan.js';
import type { PlanPrediction } from '../../scheduler/driver/predict-plan.js';
import type { RecordedStep } from '../../scheduler/driver/step-recorder.js';
import { type ChromeTrace, toChromeTrace } from './chrome-trace.js';
import { compare, type TimelineComparison, usualRows } from './comparison.js';
import type { PredictedTimeline } from './data.js';
import { toHtml } from './html/render.js';
import { timelineFormat, writeTimeline } from './save.js';
import { measuredSteps, predictedRuns, type TimelineStep } from './steps.js';

export interface TimelineSource {
  readonly modelName: string;
  readonly plan: Plan;
  readonly recorded: readonly RecordedStep[];
  readonly predict: (microBatchRows: readonly number[] | undefined) => PlanPrediction;
}

/**
 * The last training steps of a trainer, action by action, and the plan's prediction of them. Plain data, and ways to show it;
 * all times are in milliseconds from the first start.
 */
export class Timeline {
  readonly modelName: string;
  readonly plan: Plan;
  /** Of the machine; workers beyond their number share them, which the prediction does not know. */
  readonly cores: number;
  /** The oldest first; none if nothing was trained. */
  readonly steps: readonly TimelineStep[];
  readonly predicted: PredictedTimeline;
  readonly comparison: TimelineComparison;

  /** @internal Use `trainer.timeline()`. */
  constructor({ modelName, plan, recorded, predict }: TimelineSource) {
    this.modelName = modelName;
    this.plan = plan;
    this.cores = availableParallelism();
    this.steps = measuredSteps(recorded);
    const rows = usualRows(this.steps);
    const usual = this.steps.findLast(step => step.rows === rows)?.microBatchRows;
    const { prediction, ...simulated } = predict(usual);
    const { isMeasured } = simulated;
    const measuredMs = median(this.steps.flatMap(step => (step.rows === rows ? (step.periodMs ?? []) : [])));
    const msPerUnit = isMeasured ? 1 : (measuredMs ?? prediction.periodMs) / prediction.periodMs;
    const periodMs = prediction.periodMs * msPerUnit;
    const planned = new Array<number>(plan.microBatches).fill(plan.costs?.microBatchRows ?? 1);
    const runs = predictedRuns({ prediction, ...simulated }, usual ?? planned, msPerUnit);
    this.predicted = { isMeasured, periodMs, bubbleFraction: prediction.bubbleFraction, runs };
    this.comparison = compare({
      workerCount: plan.workers,
      rows: rows ?? prediction.rows,
      steps: this.steps,
      predicted: isMeasured ? { run: runs[1]!, periodMs } : undefined,
    });
  }

  /** In Chrome's Trace Event Format, for [Perfetto](https://ui.perfetto.dev). */
  toChromeTrace(): ChromeTrace {
    return toChromeTrace(this);
  }

  /** A page that needs nothing but itself: no network, no other file. */
  toHtml(): string {
    return toHtml(this);
  }

  /**
   * Writes the page or the trace, whole or not at all.
   *
   * @param file a name that ends in `.html` or `.json`
   * @throws ConfigurationError for another ending
   * @throws ModelFileError where the file cannot be written
   */
  async save(file: string): Promise<void> {
    const isPage = timelineFormat(file) === 'html';
    await writeTimeline(file, isPage ? this.toHtml() : JSON.stringify(this.toChromeTrace()));
  }
}
