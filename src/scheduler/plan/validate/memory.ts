/** Checks that no worker keeps more live activations than it may. */
import type { Program } from '../../../protocol/action.js';
import type { Fault } from '../fault.js';
import { walkLive } from '../simulation/live.js';

/** Most live micro-batches, summed over a worker's stages: one number for all workers, or one for each. */
export type LiveLimit = number | readonly number[];

export function findMemoryFault(programs: readonly Program[], limit: LiveLimit): Fault | undefined {
  for (const [worker, program] of programs.entries()) {
    const most = typeof limit === 'number' ? limit : (limit[worker] ?? Number.POSITIVE_INFINITY);
    let first: number | undefined;
    walkLive(program, (index, _stage, _ofStage, ofWorker) => {
      if (ofWorker > most) first ??= index;
    });
    if (first === undefined) continue;
    return {
      fault: 'memory',
      worker,
      index: first,
      action: program[first]!,
      message: `this forward makes ${most + 1} live activations, and the limit is ${most}`,
      note: `${most + 1} live`,
    };
  }
  return undefined;
}
