/** Building a worker's stages: a build that fails leaves neither tensors nor half of the stages behind. */
import * as tf from '@tensorflow/tfjs';
import { beforeAll, expect, it } from 'vitest';
import { loadBackend } from '#internal/backends/index.js';
import { compileSpec, cutModel, describeStages, readGraph } from '#internal/model/index.js';
import type { CompileSpec, StageSpec } from '#internal/protocol/stage-spec.js';
import { BuiltStages } from '#internal/stages/build.js';
import { tensorCount } from '../helpers/compare.js';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

const OPTIONS = { seed: 0, batchNorm: 'exact', tracedLayers: [] } as const;

function described(): { stages: readonly StageSpec[]; compile: CompileSpec } {
  const dense = (name: string) => tf.layers.dense({ name, units: 3, inputShape: [3] });
  const model = tf.sequential({ layers: [dense('first'), dense('second'), dense('third')] });
  model.compile({ optimizer: 'adam', loss: 'meanSquaredError' });
  const graph = readGraph(model);
  return {
    stages: describeStages(cutModel(graph, [1])),
    compile: compileSpec(model, new Map()),
  };
}

it.each<[string, (spec: StageSpec) => StageSpec, CompileSpec['optimizer'] | undefined]>([
  [
    'a class that is not registered',
    spec => ({
      ...spec,
      layers: [...spec.layers.slice(0, -1), { ...spec.layers.at(-1)!, className: 'Nowhere' }],
    }),
    undefined,
  ],
  [
    'a layer that comes back with other weights',
    spec => ({ ...spec, layers: [...spec.layers.slice(0, -1), { ...spec.layers.at(-1)!, weights: [] }] }),
    undefined,
  ],
  ['an optimizer that is not registered', spec => spec, { className: 'Nowhere', config: {} }],
])('%s leaves no tensors', async (_, spoil, optimizer) => {
  const { stages, compile } = described();
  const backend = await loadBackend('cpu');
  const spoilt = [...stages.slice(0, -1), spoil(stages.at(-1)!)];
  const before = tensorCount();
  const build = BuiltStages.build(
    backend,
    spoilt,
    { ...compile, optimizer: optimizer ?? compile.optimizer },
    OPTIONS,
  );
  await expect(build).rejects.toThrow(/Nowhere|weights/);
  expect(tensorCount()).toBe(before);
});
