/**
 * How long actions take, as the simulator is told.
 *
 * Papers compare schedules at unit cost: F = B = W = 1 and communication free. Two conventions must be kept
 * apart. Where B and W are apart, as they are here, the gradient of a stage's input leaves as soon as B is done.
 * The textbook figures of GPipe and 1F1B, a bubble of (p−1)(F+B+W), come from engines whose backward pass is one
 * piece: the gradient leaves after W. `fullBackward` prices a schedule that way.
 */
import type { Action } from '../../protocol/action.js';

/** Duration of one action, at least 0, in whatever unit the caller thinks in. */
export type ActionCost = (action: Action) => number;

/** F, B, recompute and each micro-batch of a W take 1; communication and steps are free. */
export const unitCost: ActionCost = action => {
  switch (action.kind) {
    case 'forward':
    case 'backwardInput':
    case 'recompute':
      return 1;
    case 'backwardWeight':
      return action.microBatches.length;
    case 'send':
    case 'receive':
    case 'step':
      return 0;
  }
};

/**
 * Prices B and the W right behind it as one piece, the *full backward*: B takes the time of both, W none. Meant
 * for schedules in which every W follows its own B at once and names that micro-batch alone.
 */
export function fullBackward(cost: ActionCost): ActionCost {
  return action => {
    if (action.kind === 'backwardWeight') return 0;
    if (action.kind !== 'backwardInput') return cost(action);
    return cost(action) + cost({ ...action, kind: 'backwardWeight' });
  };
}
