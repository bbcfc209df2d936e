/** A stage whose layers and losses have become graphs, against the same stage op by op. */
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it, type Mock, vi } from 'vitest';
import { type Backend, loadBackend, sampleProductOf } from '#internal/backends/index.js';
import { cutModel, describeStages, describeWhole, readGraph } from '#internal/model/index.js';
import type { StageSpec } from '#internal/protocol/stage-spec.js';
import { adaptLayer } from '#internal/stages/adapt-layer.js';
import { backwardInput } from '#internal/stages/backward.js';
import { StageLayers } from '#internal/stages/layers.js';
import { MeanLoss } from '#internal/stages/mean-loss.js';
import { CALLS_BEFORE_TRACE } from '#internal/stages/tracing/index.js';
import type { Value } from '#internal/stages/value.js';
import { disposeTape, recordTape, type TapeNode } from '#internal/tfjs/internals.js';
import { backends, useBackend } from '../helpers/backends.js';
import { expectTensorsClose, tensorCount } from '../helpers/compare.js';
import { integers, oneHot, uniform } from '../helpers/data.js';

const { layers } = tf;

const GRAPH = 'MillraceTraced on tensorflow';

interface Sample {
  readonly make: () => tf.LayersModel;
  readonly x: () => tf.Tensor;
  /** Nodes of the tape that are graphs, of all. */
  readonly kernels: readonly string[];
}

const model = (shape: readonly number[], parts: readonly tf.layers.Layer[]): tf.LayersModel => {
  const input = tf.input({ shape: [...shape] });
  const output = parts.reduce((x, part) => part.apply(x) as tf.SymbolicTensor, input as tf.SymbolicTensor);
  return tf.model({ inputs: input, outputs: output });
};

const SAMPLES: Readonly<Record<string, Sample>> = {
  'dense layers, one of them frozen': {
    make: () =>
      model(
        [20],
        [
          layers.dense({ units: 24, activation: 'relu' }),
          layers.dense({ units: 24, activation: 'tanh', trainable: false }),
          layers.dense({ units: 24 }),
          layers.activation({ activation: 'sigmoid' }),
          layers.dense({ units: 3, activation: 'softmax' }),
        ],
      ),
    x: () => uniform([4, 20], 1),
    kernels: [GRAPH],
  },
  'images, and a dropout between': {
    make: () =>
      model(
        [8, 8, 2],
        [
          layers.conv2d({ filters: 4, kernelSize: 3, activation: 'relu', padding: 'same' }),
          layers.averagePooling2d({ poolSize: 2 }),
          layers.flatten(),
          layers.dropout({ rate: 0 }),
          layers.dense({ units: 6, activation: 'elu' }),
          layers.dense({ units: 3, activation: 'softmax' }),
        ],
      ),
    x: () => uniform([3, 8, 8, 2], 1),
    kernels: [GRAPH, GRAPH],
  },
  'a frozen base behind a layer that stays outside': {
    make: () =>
      model(
        [6],
        [
          layers.dropout({ rate: 0 }),
          layers.dense({ units: 6, activation: 'relu', trainable: false }),
          layers.dense({ units: 3, activation: 'softmax' }),
        ],
      ),
    x: () => uniform([4, 6], 1),
    kernels: [GRAPH],
  },
  'tokens behind what learns nothing': {
    make() {
      const input = tf.input({ shape: [5] });
      const moved = layers.reshape({ targetShape: [5, 1] }).apply(input) as tf.SymbolicTensor;
      const kept = layers.dropout({ rate: 0 }).apply(moved) as tf.SymbolicTensor;
      const tokens = layers.reshape({ targetShape: [5] }).apply(kept) as tf.SymbolicTensor;
      const embedded = layers.embedding({ inputDim: 7, outputDim: 4 }).apply(tokens) as tf.SymbolicTensor;
      const flat = layers.flatten().apply(embedded) as tf.SymbolicTensor;
      const output = layers.dense({ units: 3, activation: 'softmax' }).apply(flat) as tf.SymbolicTensor;
      return tf.model({ inputs: input, outputs: output });
    },
    x: () => integers([4, 5], 1, 0, 7),
    kernels: [GRAPH],
  },
  'masked tokens, op by op': {
    make: () =>
      model(
        [5],
        [
          layers.embedding({ inputDim: 7, outputDim: 4, maskZero: true }),
          layers.dense({ units: 4, activation: 'tanh' }),
          layers.lstm({ units: 3 }),
          layers.dense({ units: 3, activation: 'softmax' }),
        ],
      ),
    x: () => integers([4, 5], 1, 0, 7),
    kernels: [],
  },
  'everything that may be part of a graph': {
    make: () =>
      model(
        [8, 8, 4],
        [
          layers.conv2d({ filters: 4, kernelSize: 3, padding: 'same' }),
          layers.reLU(),
          layers.depthwiseConv2d({ kernelSize: 3, padding: 'same' }),
          layers.leakyReLU(),
          layers.separableConv2d({ filters: 4, kernelSize: 3, padding: 'same' }),
          layers.elu(),
          layers.averagePooling2d({ poolSize: 2 }),
          layers.permute({ dims: [3, 1, 2] }),
          layers.reshape({ targetShape: [16, 4] }),
          layers.conv1d({ filters: 4, kernelSize: 3, padding: 'same' }),
          layers.averagePooling1d({ poolSize: 2 }),
          layers.layerNormalization(),
          layers.globalMaxPooling1d(),
          layers.softmax(),
          layers.repeatVector({ n: 3 }),
          layers.globalAveragePooling1d({}),
          layers.dense({ units: 3, activation: 'softmax' }),
        ],
      ),
    x: () => uniform([3, 8, 8, 4], 1),
    kernels: [GRAPH],
  },
  'tokens, and a skip connection': {
    make() {
      const input = tf.input({ shape: [5] });
      const embedded = layers.embedding({ inputDim: 7, outputDim: 6 }).apply(input) as tf.SymbolicTensor;
      const normed = layers.layerNormalization().apply(embedded) as tf.SymbolicTensor;
      const wide = layers.dense({ units: 6, activation: 'relu' }).apply(normed) as tf.SymbolicTensor;
      const sum = layers.add().apply([embedded, wide]) as tf.SymbolicTensor;
      const pooled = layers.globalAveragePooling1d({}).apply(sum) as tf.SymbolicTensor;
      const output = layers.dense({ units: 3, activation: 'softmax' }).apply(pooled) as tf.SymbolicTensor;
      return tf.model({ inputs: input, outputs: output });
    },
    x: () => integers([4, 5], 1, 0, 7),
    kernels: [GRAPH],
  },
};

interface Pass {
  readonly tape: readonly string[];
  readonly output: tf.Tensor;
  readonly weightGradients: readonly (tf.Tensor | undefined)[];
}

/** One training pass over a whole model, with B and W apart. */
function train(stage: StageLayers, spec: StageSpec, x: tf.Tensor): Pass {
  const variables = spec.trainable.map(ref => stage.variable(ref));
  const { result: output, tape } = recordTape(() => {
    const values = new Map<number, Value>([[spec.fedInputs[0]!.value, { tensor: x, mask: undefined }]]);
    stage.call(values, true);
    return tf.keep(tf.clone(values.get(spec.ownedOutputs[0]!.value)!.tensor));
  });
  const seeds = new Map([[output.id, uniform(output.shape, 9)]]);
  const { deferred } = backwardInput({ tape, samples: [x], inputs: [], variables, seeds });
  const weightGradients = deferred.compute();
  const kernels = tape.map(({ kernelName }) => kernelName);
  disposeTape(tape);
  return { tape: kernels, output, weightGradients };
}

/** Puts what runs graphs, which the addon inherits, out of the way while `use` runs. */
function withRuns(run: (...given: unknown[]) => unknown, use: (runs: Mock) => void): void {
  const { binding } = tf.backend() as unknown as { binding: { runSavedModel: unknown } };
  const runs = vi.fn(run);
  Object.defineProperty(binding, 'runSavedModel', { value: runs, configurable: true });
  try {
    use(runs);
  } finally {
    Reflect.deleteProperty(binding, 'runSavedModel');
  }
}

/** What runs graphs. */
function realRun(): (...given: unknown[]) => unknown {
  const { binding } = tf.backend() as unknown as {
    binding: { runSavedModel(...given: unknown[]): unknown };
  };
  return binding.runSavedModel.bind(binding);
}

const isGraph = (kernel: string): boolean => kernel === GRAPH;
const present = (tensors: readonly (tf.Tensor | undefined)[]): tf.Tensor[] =>
  tensors.filter(tensor => tensor !== undefined);

function disposePass({ output, weightGradients }: Pass): void {
  tf.dispose([output, ...present(weightGradients)]);
}

describe.runIf(backends().includes('tensorflow'))('a stage whose layers become graphs', () => {
  let backend: Backend;
  beforeAll(async () => {
    await useBackend('tensorflow');
    backend = await loadBackend('tensorflow');
  });

  const describeModel = (make: () => tf.LayersModel): StageSpec => {
    const made = make();
    made.compile({ optimizer: 'sgd', loss: 'categoricalCrossentropy' });
    const spec = describeWhole(readGraph(made));
    made.dispose();
    return spec;
  };

  const open = (spec: StageSpec, on?: Backend): StageLayers => {
    const stage = new StageLayers(spec, layer => adaptLayer(layer, backend, []), on);
    for (const [index, variable] of stage.variables().entries()) {
      tf.tidy(() => variable.assign(uniform(variable.shape, 30 + index)));
    }
    return stage;
  };

  it.each(Object.entries(SAMPLES))('gives the numbers of its operations: %s', (_, { make, x, kernels }) => {
    const spec = describeModel(make);
    const [plain, traced] = [open(spec), open(spec, backend)];
    const samples = x();
    const expected = train(plain, spec, samples);
    for (let call = 0; call < CALLS_BEFORE_TRACE; call++) {
      const pass = train(traced, spec, samples);
      expect(pass.tape.some(isGraph)).toBe(false);
      disposePass(pass);
    }
    disposePass(train(traced, spec, samples));
    const before = tensorCount();
    const pass = train(traced, spec, samples);
    expect(pass.tape.filter(isGraph)).toEqual(kernels);
    if (kernels.length > 0) expect(pass.tape.length).toBeLessThan(expected.tape.length);
    expectTensorsClose([pass.output], [expected.output], 'output');
    expect(present(pass.weightGradients)).toHaveLength(spec.trainable.length);
    expectTensorsClose(present(pass.weightGradients), present(expected.weightGradients), 'gradient');
    disposePass(pass);
    expect(tensorCount()).toBe(before);
    disposePass(expected);
    for (const stage of [plain, traced]) stage.dispose();
    samples.dispose();
  });

  it('runs forward alone as graphs, too, and other shapes op by op until they have come as often', () => {
    const { make, x } = SAMPLES['images, and a dropout between']!;
    const spec = describeModel(make);
    const stage = open(spec, backend);
    const predict = (input: tf.Tensor): tf.Tensor =>
      tf.tidy(() => {
        const value = { tensor: input, mask: undefined };
        const values = new Map<number, Value>([[spec.fedInputs[0]!.value, value]]);
        stage.call(values, false);
        return values.get(spec.ownedOutputs[0]!.value)!.tensor;
      });
    const samples = x();
    const expected = predict(samples);
    withRuns(realRun(), runs => {
      for (let call = 1; call < CALLS_BEFORE_TRACE; call++) predict(samples).dispose();
      expect(runs).not.toHaveBeenCalled();
      predict(samples).dispose();
      runs.mockClear();
      const actual = predict(samples);
      // One a stretch.
      expect(runs).toHaveBeenCalledTimes(2);
      expectTensorsClose([actual], [expected], 'prediction');
      runs.mockClear();
      const one = tf.slice(samples, [0, 0, 0, 0], [1, -1, -1, -1]);
      const first = predict(one);
      expect(runs).not.toHaveBeenCalled();
      const firstOfAll = tf.slice(expected, [0, 0], [1, -1]);
      expectTensorsClose([first], [firstOfAll], 'prediction of one');
      tf.dispose([actual, one, first, firstOfAll]);
    });
    tf.dispose([samples, expected]);
    stage.dispose();
  });

  it('goes on op by op where TensorFlow does not run a graph', () => {
    const { make, x } = SAMPLES['dense layers, one of them frozen']!;
    const spec = describeModel(make);
    const stage = open(spec, backend);
    const samples = x();
    for (let call = 0; call <= CALLS_BEFORE_TRACE; call++) disposePass(train(stage, spec, samples));
    const fail = (): never => {
      throw new Error('no');
    };
    withRuns(fail, runs => {
      const pass = train(stage, spec, samples);
      expect(runs).toHaveBeenCalled();
      expect(pass.tape.some(isGraph)).toBe(false);
      expect(present(pass.weightGradients)).toHaveLength(spec.trainable.length);
      disposePass(pass);
    });
    samples.dispose();
    stage.dispose();
  });

  it.each([
    ['gives back the gradient of what it has received', true],
    ['computes none for a stage before it that learns nothing', false],
  ])('%s', (_, learnsBefore) => {
    const make = (): tf.LayersModel =>
      model(
        [6],
        [
          layers.dense({ units: 5, activation: 'tanh', trainable: learnsBefore }),
          layers.dense({ units: 4, activation: 'tanh' }),
          layers.dense({ units: 3, activation: 'softmax' }),
        ],
      );
    const made = make();
    made.compile({ optimizer: 'sgd', loss: 'categoricalCrossentropy' });
    const spec = describeStages(cutModel(readGraph(made), [1]))[1]!;
    made.dispose();
    const received = spec.incoming[0]!.values[0]!;
    expect(spec.incoming[0]!.gradientValues).toEqual(learnsBefore ? [received] : []);
    const x = uniform([4, 5], 1);
    const gradientsOf = (stage: StageLayers): { kernels: string[]; tensors: tf.Tensor[] } => {
      const { result: output, tape } = recordTape(() => {
        const values = new Map<number, Value>([[received, { tensor: x, mask: undefined }]]);
        stage.call(values, true);
        return tf.keep(tf.clone(values.get(spec.ownedOutputs[0]!.value)!.tensor));
      });
      const { inputGradients, deferred } = backwardInput({
        tape,
        samples: [x],
        inputs: learnsBefore ? [x] : [],
        variables: spec.trainable.map(ref => stage.variable(ref)),
        seeds: new Map([[output.id, uniform(output.shape, 9)]]),
      });
      const tensors = [output, ...present(inputGradients), ...present(deferred.compute())];
      const kernels = tape.map(({ kernelName }) => kernelName);
      disposeTape(tape);
      return { kernels, tensors };
    };
    const [plain, traced] = [open(spec), open(spec, backend)];
    const expected = gradientsOf(plain);
    for (let call = 0; call < CALLS_BEFORE_TRACE; call++) tf.dispose(gradientsOf(traced).tensors);
    const actual = gradientsOf(traced);
    expect(actual.kernels.filter(isGraph)).toEqual([GRAPH]);
    expect(actual.tensors).toHaveLength(learnsBefore ? 6 : 5);
    expectTensorsClose(actual.tensors, expected.tensors, 'output or gradient');
    tf.dispose([...actual.tensors, ...expected.tensors, x]);
    for (const stage of [plain, traced]) stage.dispose();
  });

  it('keeps what is worth sending as factors', () => {
    const { make } = SAMPLES['dense layers, one of them frozen']!;
    const spec = describeModel(make);
    const stage = open(spec, backend);
    const productsOf = (rows: number): readonly boolean[] => {
      const samples = uniform([rows, 20], 1);
      for (let call = 0; call <= CALLS_BEFORE_TRACE; call++) disposePass(train(stage, spec, samples));
      const { result: output, tape } = recordTape(() => {
        const values = new Map<number, Value>([
          [spec.fedInputs[0]!.value, { tensor: samples, mask: undefined }],
        ]);
        stage.call(values, true);
        return tf.keep(values.get(spec.ownedOutputs[0]!.value)!.tensor);
      });
      const node = tape.find(({ kernelName }) => isGraph(kernelName)) as TapeNode;
      const seed = tf.onesLike(output);
      const thunks = tf.tidy(() => {
        const made = node.gradient!([seed]);
        return spec.trainable.map(ref => {
          const name = Object.entries(node.inputs).find(([, { id }]) => id === stage.variable(ref).id)?.[0];
          return name !== undefined && sampleProductOf(made[name]!) !== undefined;
        });
      });
      disposeTape(tape);
      tf.dispose([samples, output, seed]);
      return thunks;
    };
    // Kernels [20, 24], [24, 24] and [24, 3], each with a bias behind it.
    expect(productsOf(16)).toEqual([true, false, true, false, false, false]);
    expect(productsOf(64)).toEqual(Array.from({ length: 6 }, () => false));
    stage.dispose();
  });

  it('leaves losses of the user alone, and weighs samples', () => {
    const loss = (target: tf.Tensor, output: tf.Tensor): tf.Tensor =>
      tf.metrics.categoricalCrossentropy(target, output);
    const [prediction, target, weight] = [
      tf.softmax(uniform([5, 3], 1) as tf.Tensor2D),
      oneHot(5, 3, 2),
      uniform([5], 3, 0.5, 1),
    ];
    const run = (isOwnLoss: boolean): { tape: readonly string[]; tensors: tf.Tensor[] } => {
      const mean = new MeanLoss({ loss, isOwnLoss, lossWeight: 1, metrics: [] }, backend);
      const pass = (): { tape: readonly string[]; tensors: tf.Tensor[] } => {
        const { result, tape } = recordTape(() => tf.keep(mean.of(prediction, target, weight)));
        const seeds = new Map([[result.id, tf.scalar(1)]]);
        const { inputGradients, deferred } = backwardInput({
          tape,
          samples: [prediction],
          inputs: [prediction],
          variables: [],
          seeds,
        });
        deferred.dispose();
        const kernels = tape.map(({ kernelName }) => kernelName);
        disposeTape(tape);
        return { tape: kernels, tensors: [result, ...present(inputGradients)] };
      };
      for (let call = 0; call < CALLS_BEFORE_TRACE; call++) tf.dispose(pass().tensors);
      return pass();
    };
    const [own, foreign] = [run(true), run(false)];
    expect(own.tape).toEqual([GRAPH]);
    expect(foreign.tape.some(isGraph)).toBe(false);
    expectTensorsClose(own.tensors, foreign.tensors, 'loss');
    tf.dispose([...own.tensors, ...foreign.tensors, prediction, target, weight]);
  });
});
