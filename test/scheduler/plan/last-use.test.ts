/** Until when slots are held. */
import { expect, it } from 'vitest';
import type { Program } from '#internal/protocol/action.js';
import { LastUses } from '#internal/scheduler/plan/simulation/last-use.js';

const exchange = (pass: 'replica-gradient' | 'replica-weight' | 'tied-gradient', stage: number) =>
  ({ kind: 'receive', stage, microBatches: [], pass, peer: 9 }) as const;

it('is the last compute action of a micro-batch, the step for gradients of replicas, and no time for what is copied', () => {
  const program: Program = [
    { kind: 'forward', stage: 0, microBatches: [0] },
    { kind: 'backwardInput', stage: 0, microBatches: [0] },
    { kind: 'backwardWeight', stage: 0, microBatches: [0] },
    exchange('tied-gradient', 0),
    exchange('replica-gradient', 0),
    exchange('replica-gradient', 1),
    { kind: 'step', stage: 0 },
    { kind: 'step', stage: 1 },
    exchange('replica-weight', 0),
  ];
  const uses = new LastUses(program);
  expect(uses.indexOf(0, 0)).toBe(2);
  expect(uses.indexOf(0, 1)).toBeUndefined();
  expect(uses.ofExchange(exchange('tied-gradient', 0), 3)).toBe(3);
  expect(uses.ofExchange(exchange('replica-gradient', 0), 4)).toBe(6);
  expect(uses.ofExchange(exchange('replica-gradient', 1), 5)).toBe(7);
  expect(uses.ofExchange(exchange('replica-weight', 0), 8)).toBe(8);
});
