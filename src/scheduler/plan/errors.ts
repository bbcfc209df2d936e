/** What the planner refuses about schedules, with the facts as fields. */
import { MillraceError } from '../../errors.js';
import type { Action } from '../../protocol/action.js';

/**
 * What is wrong with a schedule or program:
 * - `shape`: counts, placement or an action that cannot exist (out of range, on the wrong worker, of no use here);
 * - `missing`, `doubled`, `order`: an action that is absent, there twice, or before one that it needs;
 * - `message`: a send and a receive that do not fit each other;
 * - `deadlock`: every worker that is not done waits for another;
 * - `memory`: more live activations than allowed.
 */
export type ScheduleFault = 'shape' | 'missing' | 'doubled' | 'order' | 'message' | 'deadlock' | 'memory';

export interface FaultPlace {
  readonly fault: ScheduleFault;
  readonly worker?: number | undefined;
  /** Position in the worker's list as it was given; its length where something is missing at the end. */
  readonly index?: number | undefined;
  readonly action?: Action | undefined;
}

/** A schedule or a set of programs that must not run. The message ends with the grid and a mark at the fault. */
export class ScheduleError extends MillraceError {
  readonly fault: ScheduleFault;
  readonly worker: number | undefined;
  readonly index: number | undefined;
  readonly action: Action | undefined;

  constructor(message: string, place: FaultPlace) {
    super('MILLRACE_SCHEDULE', message);
    this.fault = place.fault;
    this.worker = place.worker;
    this.index = place.index;
    this.action = place.action;
  }
}

/** Text that is no action, program or schedule. Lines and columns count from 1. */
export class ScheduleSyntaxError extends MillraceError {
  readonly line: number;
  readonly column: number;
  readonly expected: string;

  constructor(line: number, column: number, expected: string, found: string | undefined) {
    const what = found === undefined ? 'the text ends' : `found '${found}'`;
    super('MILLRACE_SCHEDULE_SYNTAX', `line ${line}, column ${column}: expected ${expected}, but ${what}`);
    this.line = line;
    this.column = column;
    this.expected = expected;
  }
}

/** JSON that is no schedule. */
export class ScheduleJsonError extends MillraceError {
  /** Place inside the JSON, like `orders[0][2].kind`; empty for the whole of it. */
  readonly path: string;

  constructor(path: string, problem: string, options?: ErrorOptions) {
    super('MILLRACE_SCHEDULE_SYNTAX', `${path === '' ? 'the schedule' : path}: ${problem}`, options);
    this.path = path;
  }
}
