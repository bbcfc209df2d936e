/**
 * One step of each of tfjs's optimizers over one weight, in tfjs's order of operations:
 *
 *     …Step(weight, gradient, …slots, target, count, …scalars)
 *
 * Slots are updated where they lie; the new weight goes to `target`, since a weight is an operand of matrix products,
 * whose memory must not change (see `heap.ts`). `rate` is the negative learning rate, `positiveRate` the learning rate.
 */
import type { Routine } from './assembler.js';
import { add, div, type ElementWise, elementWise, mul, sqrt, square, sub } from './element-wise.js';

const accumulated = add(mul('factor', 'accumulation'), 'gradient');

const STEPS = {
  sgdStep: {
    reads: ['weight', 'gradient'],
    scalars: ['rate'],
    writes: { target: add(mul('rate', 'gradient'), 'weight') },
  },
  momentumStep: {
    reads: ['weight', 'gradient', 'accumulation'],
    scalars: ['rate', 'factor'],
    writes: { accumulation: accumulated, target: add(mul('rate', 'accumulation'), 'weight') },
  },
  nesterovStep: {
    reads: ['weight', 'gradient', 'accumulation'],
    scalars: ['rate', 'factor'],
    writes: {
      accumulation: accumulated,
      target: add(mul('rate', add('gradient', mul('accumulation', 'factor'))), 'weight'),
    },
  },
  adagradStep: {
    reads: ['weight', 'gradient', 'accumulator'],
    scalars: ['rate', 'epsilon'],
    writes: {
      accumulator: add('accumulator', square('gradient')),
      target: add(mul(div('gradient', sqrt(add('accumulator', 'epsilon'))), 'rate'), 'weight'),
    },
  },
  rmspropStep: {
    reads: ['weight', 'gradient', 'meanSquare', 'moment'],
    scalars: ['positiveRate', 'decay', 'rest', 'factor', 'epsilon'],
    writes: {
      meanSquare: add(mul('meanSquare', 'decay'), mul(square('gradient'), 'rest')),
      moment: add(
        mul('moment', 'factor'),
        div(mul('gradient', 'positiveRate'), sqrt(add('meanSquare', 'epsilon'))),
      ),
      target: sub('weight', 'moment'),
    },
  },
  adamStep: {
    reads: ['weight', 'gradient', 'm', 'v'],
    scalars: ['rate', 'beta1', 'rest1', 'beta2', 'rest2', 'correction1', 'correction2', 'epsilon'],
    writes: {
      m: add(mul('m', 'beta1'), mul('gradient', 'rest1')),
      v: add(mul('v', 'beta2'), mul(square('gradient'), 'rest2')),
      target: add(
        mul(div(div('m', 'correction1'), add(sqrt(div('v', 'correction2')), 'epsilon')), 'rate'),
        'weight',
      ),
    },
  },
} satisfies Readonly<Record<string, Omit<ElementWise, 'name'>>>;

export type OptimizerStepName = keyof typeof STEPS;

export const OPTIMIZER_STEPS: readonly Routine[] = Object.entries(STEPS).map(([name, step]) =>
  elementWise({ name, ...step }),
);
