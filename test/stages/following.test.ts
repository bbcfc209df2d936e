/** Activation layers that the layer before them applies: the same numbers, and only where nobody else reads what lies between. */
import * as tf from '@tensorflow/tfjs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadBackend } from '#internal/backends/index.js';
import { cutModel, describeStages, describeWhole, partingCuts, readGraph } from '#internal/model/index.js';
import type { StageSpec } from '#internal/protocol/stage-spec.js';
import { adaptLayer } from '#internal/stages/adapt-layer.js';
import { StageLayers } from '#internal/stages/layers.js';
import type { Value } from '#internal/stages/value.js';
import { describeOnBackends, useBackend } from '../helpers/backends.js';
import { expectTensorsClose, tensorCount } from '../helpers/compare.js';
import { uniform } from '../helpers/data.js';

const { layers } = tf;
type Apply = (x: tf.SymbolicTensor) => tf.SymbolicTensor;
const apply = (layer: tf.layers.Layer, x: tf.SymbolicTensor): tf.SymbolicTensor =>
  layer.apply(x) as tf.SymbolicTensor;

function modelOf(shape: readonly number[], ...parts: Apply[]): tf.LayersModel {
  const input = tf.input({ shape: [...shape] });
  const output = parts.reduce((x, part) => part(x), input as tf.SymbolicTensor);
  const model = tf.model({ inputs: input, outputs: output });
  model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
  return model;
}

const one =
  (make: () => tf.layers.Layer): Apply =>
  x =>
    apply(make(), x);

/** Of [8, 8, 3] images. */
const TAKING: Readonly<Record<string, () => tf.layers.Layer>> = {
  dense: () => layers.dense({ units: 4 }),
  conv2d: () => layers.conv2d({ filters: 4, kernelSize: 3, padding: 'same' }),
  'pointwise conv2d': () => layers.conv2d({ filters: 4, kernelSize: 1, useBias: false }),
  depthwiseConv2d: () => layers.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2 }),
  separableConv2d: () => layers.separableConv2d({ filters: 4, kernelSize: 3 }),
  batchNormalization: () => layers.batchNormalization({ momentum: 0.7 }),
};

const IMAGE = [8, 8, 3] as const;

/** Activations that a kernel reads its output for are taken, all others are left. */
const TAKEN = ['relu', 'sigmoid', 'tanh', 'elu', 'softmax'] as const;
const LEFT = ['softplus', 'selu', 'relu6', 'hardSigmoid'] as const;

interface Computed {
  /** In the order of `StageSpec.nodes`. */
  readonly kernels: readonly string[];
  /** Output, gradients of input and weights, weights after the call. */
  readonly tensors: tf.Tensor[];
}

/** Calls a whole model as a stage of it does, by the backend's kernels or by tfjs's own, from the same weights. */
async function compute(
  model: tf.LayersModel,
  backendName: string,
  batch: number,
  { isLowered = true, training = true } = {},
): Promise<Computed> {
  const backend = await loadBackend(backendName as 'tensorflow');
  const graph = readGraph(model);
  const spec = describeWhole(graph);
  const stage = new StageLayers(spec, layer => {
    if (isLowered) adaptLayer(layer, backend, []);
  });
  try {
    for (const [index, variable] of stage.variables().entries()) {
      const isVariance = variable.name.includes('variance');
      const value = uniform(variable.shape, index + 1, isVariance ? 0.5 : -1, isVariance ? 1.5 : 1);
      variable.assign(value);
      value.dispose();
    }
    const [, ...sample] = graph.values[graph.inputs[0]!]!.shape as number[];
    const numbers = uniform([batch, ...sample], 99, -1, 1);
    const input = tf.variable(numbers);
    numbers.dispose();
    const trainable = spec.trainable.map(ref => stage.variable(ref));
    let tensors: tf.Tensor[] = [];
    const { kernels } = await tf.profile(() => {
      tensors = tf.tidy(() => {
        let output: tf.Tensor | undefined;
        const { grads } = tf.variableGrads(() => {
          const values = new Map<number, Value>([[graph.inputs[0]!, { tensor: input, mask: undefined }]]);
          stage.call(values, training);
          const y = values.get(graph.outputs[0]!)!.tensor;
          output = tf.keep(tf.clone(y));
          return tf.sum(tf.mul(y, uniform(y.shape, 7, -1, 1)));
        }, [input, ...trainable]);
        const gradients = [input, ...trainable].map(({ name }) => grads[name]!);
        return [output!, ...gradients, ...stage.variables().map(variable => tf.clone(variable as tf.Tensor))];
      });
    });
    input.dispose();
    return { kernels: kernels.map(({ name }) => name), tensors };
  } finally {
    stage.dispose();
  }
}

const activationKernels = ({ kernels }: Computed): string[] =>
  kernels.filter(name => name.startsWith('MillraceActivation'));

describeOnBackends('an activation behind a layer', name => {
  const expectSame = async (model: tf.LayersModel, batch = 3, training = true): Promise<Computed> => {
    await useBackend(name);
    const expected = await compute(model, name, batch, { isLowered: false, training });
    const actual = await compute(model, name, batch, { training });
    expectTensorsClose(actual.tensors, expected.tensors, 'output, gradients and weights', 1e-4);
    tf.dispose([...expected.tensors, ...actual.tensors]);
    model.dispose();
    return actual;
  };

  it.each(Object.entries(TAKING))('gives what it gives by itself: %s', async (_, make) => {
    for (const activation of [...TAKEN, ...LEFT]) {
      const model = modelOf(
        IMAGE,
        one(make),
        one(() => layers.activation({ activation })),
      );
      await expectSame(model);
    }
    await expectSame(
      modelOf(
        IMAGE,
        one(make),
        one(() => layers.reLU()),
      ),
    );
    await expectSame(
      modelOf(
        IMAGE,
        one(make),
        one(() => layers.reLU({ maxValue: 0.5 })),
      ),
    );
  });

  it('does so for random images and channels, large and small, in training and outside', async () => {
    const cases = fc.record({
      size: fc.integer({ min: 1, max: 12 }),
      channels: fc.integer({ min: 1, max: 20 }),
      batch: fc.integer({ min: 2, max: 40 }),
      activation: fc.constantFrom(...TAKEN),
      training: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ size, channels, batch, activation, training }) => {
        const model = modelOf(
          [size, size, channels],
          one(() => layers.batchNormalization()),
          one(() => layers.activation({ activation })),
        );
        await expectSame(model, batch + 8, training);
      }),
      // The same cases every time: an element that lies at 0 but for rounding is clipped by one and not by the other.
      { numRuns: name === 'tensorflow' ? 30 : 5, seed: 1 },
    );
  });

  it('gives what it gives by itself where a channel is constant and nothing is added to its variance', async () => {
    const model = modelOf(
      [2, 2, 16],
      one(() => layers.batchNormalization({ epsilon: 0 })),
      one(() => layers.reLU()),
    );
    await useBackend(name);
    const graph = readGraph(model);
    const backend = await loadBackend(name);
    const outputs = [true, false].map(isLowered => {
      const stage = new StageLayers(describeWhole(graph), layer => {
        if (isLowered) adaptLayer(layer, backend, []);
      });
      const [gamma] = stage.variables() as [tf.Variable];
      gamma.assign(tf.ones([16]));
      const output = tf.tidy(() => {
        const value = { tensor: tf.ones([3, 2, 2, 16]), mask: undefined };
        const values = new Map<number, Value>([[graph.inputs[0]!, value]]);
        stage.call(values, true);
        return [...values.get(graph.outputs[0]!)!.tensor.dataSync()];
      });
      stage.dispose();
      return output;
    });
    expect(outputs[0]).toEqual(outputs[1]);
    model.dispose();
  });

  it('leaves nothing behind', async () => {
    await useBackend(name);
    const model = modelOf(
      IMAGE,
      one(TAKING['batchNormalization']!),
      one(() => layers.reLU()),
    );
    tf.dispose((await compute(model, name, 64)).tensors);
    const before = tensorCount();
    tf.dispose((await compute(model, name, 64)).tensors);
    expect(tensorCount()).toBe(before);
    model.dispose();
  });

  it.runIf(name === 'tensorflow').each(Object.entries(TAKING))(
    'runs in the kernel of the layer before it: %s',
    async (_, make) => {
      for (const activation of TAKEN) {
        const model = modelOf(
          IMAGE,
          one(make),
          one(() => layers.activation({ activation })),
        );
        expect(activationKernels(await expectSame(model))).toEqual([]);
      }
      const model = modelOf(
        IMAGE,
        one(make),
        one(() => layers.activation({ activation: 'softplus' })),
      );
      expect(activationKernels(await expectSame(model))).toEqual(['MillraceActivationOfInput']);
    },
  );

  it.each([4, 16, 33])('passes NaN on, of samples and of weights, in %i channels', async channels => {
    await useBackend(name);
    const model = modelOf(
      [5, 5, channels],
      one(TAKING['batchNormalization']!),
      one(() => layers.reLU()),
    );
    const graph = readGraph(model);
    const backend = await loadBackend(name);
    const stage = new StageLayers(describeWhole(graph), layer => adaptLayer(layer, backend, []));
    const spoilt = (tensor: tf.Tensor, isSpoilt: boolean): tf.Tensor => {
      const second = tf.cast(tf.oneHot(tf.tensor1d([1], 'int32'), channels), 'float32');
      const condition = tf.greater(tf.add(tf.zerosLike(tensor), tf.reshape(second, [channels])), 0);
      return isSpoilt ? tf.where(condition, Number.NaN, tensor) : tensor;
    };
    const [gamma, beta] = stage.variables() as [tf.Variable, tf.Variable];
    for (const where of ['samples', 'gamma', 'beta', 'nowhere']) {
      const found = tf.tidy(() => {
        gamma.assign(spoilt(tf.ones([channels]), where === 'gamma'));
        beta.assign(spoilt(tf.zeros([channels]), where === 'beta'));
        const tensor = spoilt(uniform([6, 5, 5, channels], 1), where === 'samples');
        const values = new Map<number, Value>([[graph.inputs[0]!, { tensor, mask: undefined }]]);
        stage.call(values, true);
        const y = values.get(graph.outputs[0]!)!.tensor;
        return [...tf.any(tf.isNaN(y), [0, 1, 2]).dataSync()].flatMap((is, at) => (is === 1 ? [at] : []));
      });
      expect(found, where).toEqual(where === 'nowhere' ? [] : [1]);
    }
    stage.dispose();
    model.dispose();
  });

  it.runIf(name === 'tensorflow')(
    'runs by itself where a batch norm is not computed by its kernel',
    async () => {
      const model = modelOf(
        IMAGE,
        one(TAKING['batchNormalization']!),
        one(() => layers.reLU()),
      );
      expect(activationKernels(await expectSame(model, 3, false))).toEqual(['MillraceActivationOfOutput']);
    },
  );

  const relu = () => layers.reLU();
  const linear = () => layers.dense({ units: 3 });
  const LEFT_ALONE: Readonly<Record<string, Apply>> = {
    'when others read what lies between': x => {
      const between = apply(linear(), x);
      return layers.add().apply([between, apply(relu(), between)]) as tf.SymbolicTensor;
    },
    'behind a nested model': x => {
      const inner = tf.sequential({ layers: [layers.dense({ units: 3, inputShape: [3] }), linear()] });
      return apply(relu(), apply(inner, x));
    },
    'behind a wrapper': x => {
      const steps = apply(layers.reshape({ targetShape: [3, 1] }), x);
      return apply(relu(), apply(layers.timeDistributed({ layer: linear() }), steps));
    },
    'behind a layer with an activation': x =>
      apply(relu(), apply(layers.dense({ units: 3, activation: 'tanh' }), x)),
    'when a layer reads it twice': x => {
      const between = apply(linear(), x);
      return apply(relu(), layers.add().apply([between, between]) as tf.SymbolicTensor);
    },
  };

  it.each(Object.entries(LEFT_ALONE))('stays what it is %s', async (_, make) => {
    const { kernels } = await expectSame(modelOf([3], make));
    if (name !== 'tensorflow') return;
    expect(kernels.filter(kernel => kernel === 'MillraceActivationOfOutput')).toHaveLength(1);
  });

  it('goes on with the mask of what it is behind', async () => {
    await expectSame(
      modelOf(
        [4, 2],
        one(() => layers.masking({ maskValue: 0 })),
        one(linear),
        one(() => layers.activation({ activation: 'tanh' })),
        one(() => layers.lstm({ units: 2 })),
      ),
    );
  });

  it('may be one layer behind several', async () => {
    const shared = layers.reLU();
    await expectSame(
      modelOf(
        [3],
        one(linear),
        x => apply(shared, x),
        one(linear),
        x => apply(shared, x),
      ),
    );
  });

  it('may stand behind one layer that is called several times', async () => {
    const shared = linear();
    const model = modelOf(
      [3],
      x => apply(shared, x),
      one(relu),
      x => apply(shared, x),
    );
    await expectSame(model);
  });
});

describe('cuts that part a layer from its activation', () => {
  const chain = (): tf.LayersModel =>
    modelOf(
      IMAGE,
      one(TAKING['conv2d']!),
      one(TAKING['batchNormalization']!),
      one(() => layers.reLU()),
      one(TAKING['conv2d']!),
      one(() => layers.activation({ activation: 'tanh' })),
      one(() => layers.flatten()),
    );

  it('are known', () => {
    const model = chain();
    expect([...partingCuts(readGraph(model))]).toEqual([2, 4]);
    model.dispose();
  });

  it('leave both as they are', () => {
    const model = chain();
    const specs: StageSpec[] = describeStages(cutModel(readGraph(model), [2]));
    expect(specs.map(({ layers: own }) => own.map(({ className }) => className))).toEqual([
      ['Conv2D', 'BatchNormalization'],
      ['ReLU', 'Conv2D', 'Activation', 'Flatten'],
    ]);
    model.dispose();
  });
});
