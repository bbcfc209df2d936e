/** What a timeline knows, for those that show it. */
import type { Plan } from '../../plan.js';
import type { TimelineComparison } from './comparison.js';
import type { TimelineRun, TimelineStep } from './steps.js';

/** The schedule as the simulator expects it to run. */
export interface PredictedTimeline {
  /**
   * Whether the layers were measured. If not, F, B and W are drawn equally long, at the pace of the measured steps where there
   * are any, else at one millisecond each.
   */
  readonly isMeasured: boolean;
  readonly periodMs: number;
  /** Idle time of all workers / (workers × period). */
  readonly bubbleFraction: number;
  /** Three mini-batches in a row in the steady state; the second one starts at 0. */
  readonly runs: readonly TimelineRun[];
}

export interface TimelineData {
  readonly modelName: string;
  readonly plan: Plan;
  readonly cores: number;
  readonly steps: readonly TimelineStep[];
  readonly predicted: PredictedTimeline;
  readonly comparison: TimelineComparison;
}
