/** What planning is told of a model's training where nothing but its layers and times matters. */
import type { PlanRequest } from '#internal/scheduler/driver/model-plan.js';

export const PLAIN_TRAINING: Pick<PlanRequest, 'compile' | 'coupling'> = {
  compile: {
    optimizer: { className: 'SGD', config: {} },
    losses: ['meanSquaredError'],
    lossWeights: [1],
    metrics: [[]],
    outputs: [],
  },
  coupling: { mixing: undefined, unrepeatable: undefined, moving: undefined, scalarLosses: [] },
};
