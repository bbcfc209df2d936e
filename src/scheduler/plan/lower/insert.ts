/** Every pass of lowering inserts actions around those that are there; this is the one loop behind them. */
import type { Action, Program } from '../../../protocol/action.js';

export interface Around {
  readonly before?: readonly Action[];
  readonly after?: readonly Action[];
}

/** Rebuilds a program with what `around` wants directly before and after each action. */
export function insert(
  program: Program,
  around: (action: Action, index: number) => Around | undefined,
): Program {
  return program.flatMap((action, index) => {
    const added = around(action, index);
    return added === undefined ? [action] : [...(added.before ?? []), action, ...(added.after ?? [])];
  });
}
