/** Measuring layers leaves nothing behind, whatever they are. */
import * as tf from '@tensorflow/tfjs';
import { expect, it } from 'vitest';
import { loadBackend } from '#internal/backends/index.js';
import { describeWhole, readGraph } from '#internal/model/index.js';
import type { StageSpec } from '#internal/protocol/stage-spec.js';
import { profileNodes } from '#internal/stages/profile.js';
import { describeOnBackends, useBackend } from '../helpers/backends.js';
import { tensorCount } from '../helpers/compare.js';

/** A wrapper that is called twice: tfjs changes the config that it makes one from. */
function wrapped(): tf.LayersModel {
  const input = tf.input({ shape: [4, 3] });
  const each = tf.layers.timeDistributed({ layer: tf.layers.dense({ units: 3 }) });
  let value = each.apply(each.apply(input));
  value = tf.layers.bidirectional({ layer: tf.layers.lstm({ units: 2 }) as tf.RNN }).apply(value);
  value = tf.layers.dense({ units: 1 }).apply(value);
  const model = tf.model({ inputs: input, outputs: value as tf.SymbolicTensor });
  model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
  return model;
}

describeOnBackends('measured layers', name => {
  const ask = async (spoil: (spec: StageSpec) => StageSpec) => {
    await useBackend(name);
    const model = wrapped();
    const graph = readGraph(model);
    const spec = spoil(describeWhole(graph));
    const backend = await loadBackend(name);
    const before = tensorCount();
    const inputs = [{ value: graph.inputs[0]!, shape: [2, 4, 3], dtype: 'float32' }];
    try {
      return profileNodes(backend, spec, { className: 'SGD', config: { learningRate: 0.1 } }, inputs, 1);
    } finally {
      expect(tensorCount()).toBe(before);
      model.dispose();
    }
  };

  it('are measured call by call, wrappers that are called twice included', async () => {
    const profiles = await ask(spec => spec);
    expect(profiles).toHaveLength(4);
    for (const { forwardMs } of profiles) expect(forwardMs).toBeGreaterThan(0);
  });

  it('go when a later one cannot be built', async () => {
    const refused = ask(spec => ({
      ...spec,
      layers: [...spec.layers.slice(0, -1), { ...spec.layers.at(-1)!, className: 'Nowhere' }],
    }));
    await expect(refused).rejects.toThrow(/Nowhere/);
  });
});
