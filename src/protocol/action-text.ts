/** One action as text: stage, letter, micro-batches, and the peer of a message. `scheduler/plan/text.ts` explains it. */
import type { Action } from './action.js';

const COMPUTE_LETTERS = {
  forward: 'F',
  backwardInput: 'B',
  backwardWeight: 'W',
  recompute: 'R',
} as const;
/** Of messages; their names in full: see `ExchangePass`. */
export const PASS_LETTERS = {
  forward: 'F',
  backward: 'B',
  'tied-gradient': 'G',
  'tied-weight': 'V',
  'replica-gradient': 'P',
  'replica-weight': 'U',
  'partial-norm': 'N',
  'total-norm': 'T',
} as const;

export function formatAction(action: Action): string {
  switch (action.kind) {
    case 'forward':
    case 'backwardInput':
    case 'backwardWeight':
    case 'recompute':
      return `${action.stage}${COMPUTE_LETTERS[action.kind]}${action.microBatches.join(',')}`;
    case 'send':
    case 'receive': {
      const arrow = action.kind === 'send' ? '>' : '<';
      return `${action.stage}${PASS_LETTERS[action.pass]}${action.microBatches.join(',')}${arrow}${action.peer}`;
    }
    case 'step':
      return `${action.stage}S`;
  }
}
