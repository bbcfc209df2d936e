/** What ran when: recorded steps beside the prediction, as data, as a trace for Perfetto, and as a page. */
export type { ChromeTrace, ChromeTraceEvent } from './chrome-trace.js';
export type { Compared, TimelineComparison } from './comparison.js';
export type { PredictedTimeline } from './data.js';
export { type TimelineFormat, timelineFormat } from './save.js';
export type { TimelineRun, TimelineStep } from './steps.js';
export { Timeline } from './timeline.js';
