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
    compute: { target: add(mul('rate', 'gradient'), 'weight') },
    writes: ['target'],
  },
  momentumStep: {
    reads: ['weight', 'gradient', 'accumulation'],
    scalars: ['rate', 'factor'],
    compute: { accumulation: accumulated, target: add(mul('rate', 'accumulation'), 'weight') },
    writes: ['accumulation', 'target'],
  },
  nesterovStep: {
    reads: ['weight', 'gradient', 'accumulation'],
    scalars: ['rate', 'factor'],
    compute: {
      accumulation: accumulated,
      target: add(mul('rate', add('gradient', mul('accumulation', 'factor'))), 'weight'),
    },
    writes: ['accumulation', 'target'],
  },
  adagradStep: {
    reads: ['weight', 'gradient', 'accumulator'],
    scalars: ['rate', 'epsilon'],
    compute: {
      accumulator: add('accumulator', square('gradient')),
      target: add(mul(div('gradient', sqrt(add('accumulator', 'epsilon'))), 'rate'), 'weight'),
    },
    writes: ['accumulator', 'target'],
  },
  rmspropStep: {
    reads: ['weight', 'gradient', 'meanSquare', 'moment'],
    scalars: ['positiveRate', 'decay', 'rest', 'factor', 'epsilon'],
    compute: {
      meanSquare: add(mul('meanSquare', 'decay'), mul(square('gradient'), 'rest')),
      moment: add(
        mul('moment', 'factor'),
        div(mul('gradient', 'positiveRate'), sqrt(add('meanSquare', 'epsilon'))),
      ),
      target: sub('weight', 'moment'),
    },
    writes: ['meanSquare', 'moment', 'target'],
  },
  adamStep: {
    reads: ['weight', 'gradient', 'm', 'v'],
    scalars: ['rate', 'beta1', 'rest1', 'beta2', 'rest2', 'correction1', 'correction2', 'epsilon'],
    compute: {
      m: add(mul('m', 'beta1'), mul('gradient', 'rest1')),
      v: add(mul('v', 'beta2'), mul(square('gradient'), 'rest2')),
      target: add(
        mul(div(div('m', 'correction1'), add(sqrt(div('v', 'correction2')), 'epsilon')), 'rate'),
        'weight',
      ),
    },
    writes: ['m', 'v', 'target'],
  },
} satisfies Readonly<Record<string, Omit<ElementWise, 'name'>>>;

export type OptimizerStepName = keyof typeof STEPS;

export const OPTIMIZER_STEPS: readonly Routine[] = Object.entries(STEPS).map(([name, step]) =>
  elementWise({ name, ...step }),
);
