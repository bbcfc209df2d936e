/**
 * Adds recomputation (activation checkpointing: Chen et al., arXiv 1604.06174; re-materialization in GPipe): a
 * forward that is run again right before B, so that only the stage's input is kept in between.
 *
 * - `always`: every micro-batch.
 * - `except-last`: every micro-batch but those whose B is the stage's very next work after their F. Dropping and
 *   rebuilding such a tape would free nothing in between. Under GPipe this is torchgpipe's `except_last` to the
 *   letter: the last micro-batch of every stage keeps its tape. 1F1B has no one last micro-batch; there the rule
 *   keeps the tapes of the last stage, where B follows F throughout, and of other stages only where a micro-batch
 *   is alone.
 *
 * The receives of B's gradients are added later and fall between the two, as in torchgpipe: the recomputation
 * uses the time in which the gradient is still on its way.
 */
import type { Action, Program } from '../../../protocol/action.js';
import { insert } from './insert.js';

export type RecomputeMode = 'never' | 'except-last' | 'always';

export function addRecompute(program: Program, mode: RecomputeMode): Program {
  if (mode === 'never') return program;
  const previousOfStage = new Map<number, Action>();
  return insert(program, action => {
    const previous = previousOfStage.get(action.stage);
    previousOfStage.set(action.stage, action);
    if (action.kind !== 'backwardInput') return undefined;
    const followsItsForward =
      previous?.kind === 'forward' && previous.microBatches[0] === action.microBatches[0];
    if (mode === 'except-last' && followsItsForward) return undefined;
    return { before: [{ ...action, kind: 'recompute' }] };
  });
}
