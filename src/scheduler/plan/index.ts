/** The planner's pure part: partition → schedule → programs → slots; with text form, pictures, proof and simulation. */
export { chainTopology } from './chain.js';
export { type ActionCost, fullBackward, unitCost } from './costs.js';
export { ScheduleError, type ScheduleFault, ScheduleJsonError, ScheduleSyntaxError } from './errors.js';
export {
  drawPrograms,
  drawSchedule,
  type GridMark,
  type GridOptions,
  type ScheduleGridOptions,
} from './grid.js';
export { formatScheduleJson, parseScheduleJson, scheduleSchema } from './json.js';
export type { RecomputeMode } from './lower/recompute.js';
export { type LowerOptions, lower } from './lower.js';
export * from './partition/index.js';
export { type Placement, place, placeInV, placeRoundRobin } from './placement.js';
export {
  actionCostOf,
  type CallCost,
  type PlanCosts,
  type Prediction,
  predict,
  type StageCost,
  steadyPeriod,
  type WorkerPrediction,
} from './prediction.js';
export { replicateSchedule, replicateTopology } from './replicate.js';
export { forwardOnly } from './schedules/forward-only.js';
export { gpipe } from './schedules/gpipe.js';
export { generateSchedule, SCHEDULE_NAMES, type ScheduleKind, scheduleKind } from './schedules/index.js';
export { oneFOneB } from './schedules/one-f-one-b.js';
export type { ActivationLimits, ScheduleGenerator, ScheduleParams } from './schedules/params.js';
export {
  type ChannelUse,
  type Simulation,
  type SimulationOptions,
  simulate,
  simulateSchedule,
  type WorkerUse,
} from './simulate.js';
export { isCompute, LastUses } from './simulation/last-use.js';
export { type LivePeaks, peakLive } from './simulation/live.js';
export type { SlotCounts } from './simulation/run.js';
export { peakTapes } from './simulation/tapes.js';
export { type ChannelSlots, planSlots, type SlotOptions, slotCountsOf } from './slots.js';
export {
  formatAction,
  formatProgram,
  formatPrograms,
  formatSchedule,
  parseAction,
  parseProgram,
  parsePrograms,
  parseSchedule,
} from './text.js';
export type { LiveLimit } from './validate/memory.js';
export {
  type ProgramValidation,
  type ScheduleValidation,
  validatePrograms,
  validateSchedule,
} from './validate.js';
