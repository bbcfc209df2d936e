/**
 * Adds the optimizer steps: a stage steps right after its own last W, and waits for no other stage. Its
 * weights are then new for its next forward, which belongs to the next mini-batch.
 */
import type { Program } from '../../../protocol/action.js';
import { insert } from './insert.js';

export function addSteps(program: Program): Program {
  const lastWeight = new Map<number, number>();
  program.forEach((action, index) => {
    if (action.kind === 'backwardWeight') lastWeight.set(action.stage, index);
  });
  return insert(program, ({ stage }, index) =>
    lastWeight.get(stage) === index ? { after: [{ kind: 'step', stage }] } : undefined,
  );
}
