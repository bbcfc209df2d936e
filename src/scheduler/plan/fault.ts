/** From a finding to an error: the text names place and action and ends with the grid, marked at the fault. */
import type { Program } from '../../protocol/action.js';
import type { Schedule } from '../../protocol/schedule.js';
import { type FaultPlace, ScheduleError } from './errors.js';
import {
  drawPrograms,
  drawSchedule,
  type GridOptions,
  isOfSchedule,
  type ScheduleGridOptions,
} from './grid.js';
import { formatAction } from './text.js';

export interface Fault extends FaultPlace {
  readonly worker: number;
  readonly index: number;
  /** What is wrong, as a sentence without place. */
  readonly message: string;
  /** The few words beside the mark. */
  readonly note: string;
  readonly miniBatch?: number;
}

/** As much of a large plan as an error can usefully show. */
const WINDOW = { columns: 24, workers: 16 } as const;

export function programError(
  programs: readonly Program[],
  fault: Fault,
  options: GridOptions = {},
): ScheduleError {
  return errorWithGrid(fault, gridOptions => drawPrograms(programs, { ...options, ...gridOptions }));
}

export function scheduleError(
  schedule: Schedule,
  fault: Fault,
  options: ScheduleGridOptions = {},
): ScheduleError {
  return errorWithGrid(fault, gridOptions => drawSchedule(schedule, { ...options, ...gridOptions }));
}

/**
 * Moves a fault in a lowered program to the schedule it came from: to the action itself, or to the one that a
 * message, recomputation or step was added to.
 */
export function faultInSchedule(program: Program, fault: Fault): Fault {
  const before = program.slice(0, fault.index).filter(isOfSchedule).length;
  const at = program[fault.index];
  const belongsToPrevious = at?.kind === 'send' || at?.kind === 'step';
  return { ...fault, index: belongsToPrevious ? before - 1 : before };
}

function errorWithGrid(fault: Fault, draw: (options: GridOptions) => string): ScheduleError {
  const { worker, index, note, miniBatch = 0 } = fault;
  const grid = draw({
    window: WINDOW,
    miniBatchCount: miniBatch + 1,
    mark: { worker, index, miniBatch, note },
  });
  const action = fault.action === undefined ? '' : ` (${formatAction(fault.action)})`;
  const when = miniBatch === 0 ? '' : `, mini-batch ${miniBatch}`;
  return new ScheduleError(
    `worker ${worker}, position ${index}${action}${when}: ${fault.message}\n\n${grid}`,
    fault,
  );
}
