/** Random jobs. Everything is drawn as small numbers that are decoded into a spec, so that a failing job shrinks well. */
import * as fc from 'fast-check';
import { decodeModel, type Gene, type ModelGenes } from './decode.js';
import { LOSS_COUNT, type OutputGene } from './decode-output.js';
import type { Knobs } from './knobs.js';
import { FAMILIES } from './layer-kinds.js';
import {
  type CaseSpec,
  type DataSpec,
  isBatchNormalized,
  type OptimizerKind,
  type PlanSpec,
} from './spec.js';

const knobs: fc.Arbitrary<Knobs> = fc.record({
  a: fc.nat(11),
  b: fc.nat(11),
  c: fc.nat(11),
  frozen: fc.nat(7).map(chance => chance === 7),
  penalty: fc.oneof(
    { weight: 3, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 4 }) },
  ),
});

const gene: fc.Arbitrary<Gene> = fc.record({
  kind: fc.oneof(
    { weight: 4, arbitrary: fc.constant('affine' as const) },
    { weight: 8, arbitrary: fc.constantFrom(...(Object.keys(FAMILIES) as (keyof typeof FAMILIES)[])) },
    { weight: 3, arbitrary: fc.constant('merge' as const) },
    { weight: 2, arbitrary: fc.constant('again' as const) },
  ),
  from: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(6) }),
  with: fc.nat(6),
  knobs,
});

const outputGene: fc.Arbitrary<OutputGene> = fc.record({
  loss: fc.nat(LOSS_COUNT - 1),
  metrics: fc.nat(31),
  width: fc.nat(2),
  keepsAxes: fc.boolean(),
});

const genes: fc.Arbitrary<ModelGenes> = fc.record({
  inputs: fc.array(fc.nat(4), { minLength: 1, maxLength: 3 }),
  steps: fc.array(gene, { maxLength: 12, size: 'max' }),
  outputs: fc.array(outputGene, { minLength: 1, maxLength: 3 }),
  frozenPrefix: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(6) }),
});

const plan: fc.Arbitrary<PlanSpec> = fc.record({
  cuts: fc.array(fc.nat(30), { maxLength: 4, size: 'max' }),
  partition: fc.constantFrom('names', 'uniform', 'parameters'),
  workers: fc.integer({ min: 1, max: 3 }),
  replicas: fc.oneof(
    { weight: 2, arbitrary: fc.constant(1) },
    { weight: 1, arbitrary: fc.integer({ min: 2, max: 3 }) },
  ),
  microBatches: fc.integer({ min: 1, max: 6 }),
  schedule: fc.oneof(
    { weight: 15, arbitrary: fc.constantFrom('gpipe', '1f1b', 'interleaved', 'zero-bubble', 'zb-v') },
    // Measures the layers first, which takes longer than the job.
    { weight: 1, arbitrary: fc.constant('greedy' as const) },
  ),
  recompute: fc.constantFrom('never', 'except-last', 'always'),
});

/** Samples that seldom divide into batches; few steps, since each costs the threads a turn. */
const data: fc.Arbitrary<DataSpec> = fc
  .record({
    sampleCount: fc.integer({ min: 1, max: 17 }),
    batchSize: fc.integer({ min: 1, max: 9 }),
    epochs: fc.integer({ min: 1, max: 2 }),
    seed: fc.integer({ min: 1, max: 10_000 }),
  })
  .map(drawn => ({ ...drawn, batchSize: Math.max(drawn.batchSize, Math.ceil(drawn.sampleCount / 4)) }));

const OPTIMIZERS: readonly OptimizerKind[] = ['sgd', 'momentum', 'nesterov'];
const ADAPTIVE: readonly OptimizerKind[] = ['adam', 'rmsprop', 'adagrad', 'adadelta'];

export const cases: fc.Arbitrary<CaseSpec> = fc
  .record({
    model: genes.map(decodeModel),
    data,
    optimizer: fc.oneof(
      { weight: 5, arbitrary: fc.constantFrom(...OPTIMIZERS) },
      { weight: 1, arbitrary: fc.constantFrom(...ADAPTIVE) },
    ),
    batchNorm: fc.constantFrom('exact' as const, 'micro-batch' as const),
    plan,
  })
  .map(job => {
    if (!isBatchNormalized(job.model) || job.batchNorm === 'micro-batch') return job;
    return { ...job, plan: { ...job.plan, microBatches: 1 } };
  });
