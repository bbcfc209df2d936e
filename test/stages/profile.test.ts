/** Measuring layers leaves nothing behind, whatever they are. */
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { loadBackend } from '#internal/backends/index.js';
import { describeWhole, readGraph } from '#internal/model/index.js';
import type { CompileSpec, NamedFunction, StageSpec } from '#internal/protocol/stage-spec.js';
import { resolveFunctions } from '#internal/stages/functions.js';
import { MeasuredLoss } from '#internal/stages/measured-loss.js';
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

const ADAMAX = { learningRate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, decay: 0 };
const refFrom = (name: string): { readonly ref: { readonly module: string; readonly name: string } } => ({
  ref: { module: fileURLToPath(new URL('fixtures/profile-functions.mjs', import.meta.url)), name },
});
const SIGMOID_LOSS = refFrom('logSigmoidLoss');
/** As a function does that wants targets of another shape. */
const REFUSED = refFrom('refuse');

describeOnBackends('measured layers', name => {
  const ask = async (
    spoil: (spec: StageSpec) => StageSpec,
    changed: Partial<CompileSpec> = {},
    { make, shape } = { make: wrapped, shape: [2, 4, 3] },
  ) => {
    await useBackend(name);
    const model = make();
    const graph = readGraph(model);
    const spec = spoil(describeWhole(graph));
    const backend = await loadBackend(name);
    const compile: CompileSpec = {
      optimizer: { className: 'SGD', config: { learningRate: 0.1 } },
      losses: ['meanSquaredError'],
      lossWeights: [1],
      metrics: [['mae']],
      outputs: [{ name: 'out', shape: [null, 1] }],
      ...changed,
    };
    const functions = await resolveFunctions(compile, backend.fused?.operations);
    const before = tensorCount();
    const inputs = [{ value: graph.inputs[0]!, shape, dtype: 'float32' }];
    try {
      return profileNodes(backend, spec, compile, functions, inputs, 2);
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

  it('are measured with the activation that their kernel can apply, which then takes nothing', async () => {
    const { layers } = tf;
    const make = () => {
      const model = tf.sequential({
        layers: [
          layers.dense({ units: 8, inputShape: [6] }),
          layers.reLU(),
          layers.dense({ units: 4, activation: 'tanh' }),
          layers.activation({ activation: 'sigmoid' }),
        ],
      });
      model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
      return model;
    };
    const outputs = [{ name: 'out', shape: [null, 4] }];
    const [dense, relu, other, sigmoid] = await ask(spec => spec, { outputs }, { make, shape: [5, 6] });
    expect(relu).toEqual({
      forwardMs: 0,
      backwardInputMs: 0,
      backwardWeightMs: 0,
      accumulateMs: 0,
      stepMs: 0,
      outputBytes: 0,
    });
    expect(dense).toMatchObject({ outputBytes: 5 * 8 * 4 });
    for (const { forwardMs } of [dense!, other!, sigmoid!]) expect(forwardMs).toBeGreaterThan(0);
    for (const { stepMs } of [dense!, other!]) expect(stepMs).toBeGreaterThan(0);
  });

  it('cost an addition for each call with weights that learn, and one step for each layer', async () => {
    const [first, again, ...others] = await ask(spec => spec);
    for (const { accumulateMs, backwardWeightMs } of [first!, again!, ...others]) {
      expect(accumulateMs).toBeGreaterThan(0);
      expect(backwardWeightMs).toBeGreaterThan(0);
    }
    for (const { stepMs } of [first!, ...others]) expect(stepMs).toBeGreaterThan(0);
    expect(again!.stepMs).toBe(0);
    const frozen = await ask(spec => ({ ...spec, trainable: [] }));
    for (const { stepMs } of frozen) expect(stepMs).toBe(0);
  });

  it("are measured with optimizers that are not the backend's", async () => {
    const profiles = await ask(spec => spec, { optimizer: { className: 'Adamax', config: ADAMAX } });
    expect(profiles).toHaveLength(4);
  });

  it('are measured with losses that read what they have computed again for their gradient', async () => {
    expect(await ask(spec => spec, { losses: [SIGMOID_LOSS] })).toHaveLength(4);
  });

  it('are measured without a loss that takes other targets', async () => {
    expect(await ask(spec => spec, { losses: [REFUSED], metrics: [[]] })).toHaveLength(4);
  });

  it('go when a later one cannot be built', async () => {
    const refused = ask(spec => ({
      ...spec,
      layers: [...spec.layers.slice(0, -1), { ...spec.layers.at(-1)!, className: 'Nowhere' }],
    }));
    await expect(refused).rejects.toThrow(/Nowhere/);
  });
});

describe('the loss of made-up targets', () => {
  const COLUMNS = 3;
  const lossOf = (named: NamedFunction, loss: (target: tf.Tensor, output: tf.Tensor) => tf.Tensor) => {
    const functions = { loss, isOwnLoss: false, lossWeight: 1, metrics: [] };
    const measured = new MeasuredLoss(0, functions, named);
    const value = measured.loss(tf.ones([2, COLUMNS]));
    measured.dispose();
    return value;
  };

  it('takes class indices where the loss does', async () => {
    await useBackend('cpu');
    const shapes: number[][] = [];
    for (const name of ['sparseCategoricalCrossentropy', 'meanSquaredError']) {
      const loss = lossOf(name, (target, output) => {
        shapes.push(target.shape);
        return output;
      });
      expect(loss?.dataSync()[0]).toBe(1);
    }
    expect(shapes).toEqual([
      [2, 1],
      [2, COLUMNS],
    ]);
  });

  it('is left out, and its metrics are not, where the loss refuses them', async () => {
    await useBackend('cpu');
    let evaluated = 0;
    const measured = new MeasuredLoss(
      0,
      {
        loss: () => {
          throw new Error('no');
        },
        isOwnLoss: false,
        lossWeight: 1,
        metrics: [
          { evaluate: (_, output) => tf.tidy(() => tf.mul(output, ++evaluated)), decomposable: true },
        ],
      },
      'meanSquaredError',
    );
    const output = tf.ones([2, COLUMNS]);
    expect(measured.loss(output)).toBeUndefined();
    measured.report(undefined, output);
    expect(evaluated).toBe(1);
    measured.dispose();
    output.dispose();
  });
});
