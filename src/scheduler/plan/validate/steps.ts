/** Checks what lowering adds to the compute actions of training programs: one step per stage, recomputes before B. */
import type { Program } from '../../../protocol/action.js';
import type { Fault } from '../fault.js';
import { formatAction } from '../text.js';

export function findStepFault(
  programs: readonly Program[],
  workerOfStage: readonly number[],
): Fault | undefined {
  const stepped = new Set<number>();
  for (const [worker, program] of programs.entries()) {
    const done = new Set<string>();
    for (const [index, action] of program.entries()) {
      const found = (fault: Fault['fault'], message: string, note: string): Fault => ({
        fault,
        worker,
        index,
        action,
        message,
        note,
      });
      if (action.kind === 'step') {
        if (stepped.has(action.stage))
          return found('doubled', `stage ${action.stage} steps twice`, 'second step');
        stepped.add(action.stage);
      } else if (action.kind === 'backwardWeight' && stepped.has(action.stage)) {
        return found(
          'order',
          `stage ${action.stage} has stepped already, without this gradient`,
          'behind the step',
        );
      } else if (action.kind === 'recompute') {
        const [forward, backward] = (['forward', 'backwardInput'] as const).map(kind =>
          formatAction({ ...action, kind }),
        );
        if (done.has(forward!) && !done.has(backward!) && !done.has(formatAction(action))) {
          done.add(formatAction(action));
          continue;
        }
        return found('order', `a recompute stands once between ${forward} and ${backward}`, 'of no use');
      }
      done.add(formatAction(action));
    }
  }
  const stage = workerOfStage.findIndex((_, candidate) => !stepped.has(candidate));
  if (stage < 0) return undefined;
  const worker = workerOfStage[stage]!;
  return {
    fault: 'missing',
    worker,
    index: programs[worker]!.length,
    action: { kind: 'step', stage },
    message: `stage ${stage} never steps`,
    note: `${stage}S missing`,
  };
}
