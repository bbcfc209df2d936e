/** Models, cuts and modules that `pipeline()` refuses. Nothing may be left running afterwards. */
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import {
  BackendError,
  ConfigurationError,
  ModelError,
  type PipelineOptions,
  pipeline,
  StageError,
} from 'millrace';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { compile, compiledClassifier, newClassifier, open, refusal, samples, TWO_STAGES } from './helpers.js';

beforeAll(() => tf.setBackend('cpu'));

const refused = (model: tf.LayersModel, options: PipelineOptions = {}) =>
  refusal(() => pipeline(model, { ...TWO_STAGES, ...options }));

const fixture = (name: string): string => fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url));

describe('a model', () => {
  it('that is not compiled is refused by name, with the call that is missing', async () => {
    const error = await refused(newClassifier());
    expect(error).toBeInstanceOf(ModelError);
    expect(error.message).toMatch(/'classifier' is not compiled.*model\.compile\(/s);
  });

  it('that is not built is refused with the way to build it', async () => {
    const error = await refused(tf.sequential({ name: 'shapeless' }));
    expect(error).toBeInstanceOf(ModelError);
    expect(error.message).toMatch(/'shapeless' has not been built.*`inputShape`/s);
  });

  it('that is a GraphModel is refused with the format to convert to', async () => {
    const error = await refused(graphModel() as unknown as tf.LayersModel);
    expect(error).toBeInstanceOf(ModelError);
    expect(error.message).toMatch(/GraphModel .*tfjs_layers_model/);
  });

  it.each([
    [undefined, 'undefined'],
    [null, 'null'],
    [{}, 'Object'],
    ['model.json', 'String'],
  ])('that is %j is refused by its type', async (value, name) => {
    const error = await refused(value as unknown as tf.LayersModel);
    expect(error).toBeInstanceOf(ModelError);
    expect(error.message.toLowerCase()).toContain(name.toLowerCase());
  });

  it('with a loss of its own and no `setup` is refused with the output and the option', async () => {
    const model = compiledClassifier({ loss: (yTrue, yPred) => tf.losses.meanSquaredError(yTrue, yPred) });
    const error = await refused(model);
    expect(error).toBeInstanceOf(ModelError);
    expect(error.message).toMatch(/loss of output 'head'.*`setup`/s);
  });

  it('with a metric of its own and no `setup` is refused with the output and the option', async () => {
    const model = compiledClassifier({
      metrics: [(yTrue, yPred) => tf.metrics.meanAbsoluteError(yTrue, yPred)],
    });
    const error = await refused(model);
    expect(error).toBeInstanceOf(ModelError);
    expect(error.message).toMatch(/metric of output 'head'.*`setup`/s);
  });

  it('with a custom layer that workers do not know is refused with class, layer and option', async () => {
    class Unregistered extends tf.layers.Layer {
      static className = 'Unregistered';
      override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
        return Array.isArray(inputs) ? inputs[0]! : inputs;
      }
    }
    const model = newClassifier();
    const input = tf.input({ shape: [3] });
    const output = new Unregistered({ name: 'odd' }).apply(input) as tf.SymbolicTensor;
    const whole = tf.model({
      inputs: model.inputs,
      outputs: tf
        .model({ inputs: input, outputs: output })
        .layers[1]!.apply(model.outputs) as tf.SymbolicTensor,
    });
    compile(whole);
    const error = await refused(whole);
    expect(error.message).toContain("'Unregistered'");
    expect(error.message).toContain('`setup`');
    expect(error['layer']).toBe('odd');
  });
});

describe('a cut', () => {
  it('into more stages than the model has places for is refused with both numbers', async () => {
    const error = await refused(compiledClassifier(), { stages: 9 });
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error['path']).toBe('stages');
    expect(error.message).toMatch(/9 stages.*'classifier'.*4 at the most/s);
  });

  it('at a layer that does not exist is refused with the name that is near', async () => {
    const error = await refused(compiledClassifier(), { stages: 'auto', partition: ['hiden1'] });
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error['path']).toBe('partition');
    expect(error.message).toMatch(/'hiden1'.*did you mean.*'hidden1'/s);
  });

  it('at a layer that resembles none is refused with the names of all', async () => {
    const error = await refused(compiledClassifier(), { stages: 'auto', partition: ['zzz'] });
    expect(error['path']).toBe('partition');
    expect(error.message).toMatch(/'zzz'.*'hidden0', 'hidden1', 'hidden2', 'head'/s);
  });

  it('before the first layer is refused with the reason and the next place', async () => {
    const error = await refused(compiledClassifier(), { stages: 'auto', partition: ['hidden0'] });
    expect(error['path']).toBe('partition');
    expect(error.message).toMatch(/'hidden0'.*begins the model.*'hidden1'/s);
  });

  it('between two calls of a layer with a state is refused with the name of that layer', async () => {
    const input = tf.input({ shape: [4] });
    const shared = tf.layers.batchNormalization({ name: 'shared' });
    const between = tf.layers.activation({ name: 'between', activation: 'tanh' });
    const hidden = between.apply(shared.apply(input)) as tf.SymbolicTensor;
    const head = tf.layers.dense({ name: 'head', units: 3 });
    const model = tf.model({
      inputs: input,
      outputs: head.apply(shared.apply(hidden)) as tf.SymbolicTensor,
    });
    compile(model, { loss: 'meanSquaredError' });
    const error = await refused(model, { stages: 'auto', partition: ['between'] });
    expect(error['path']).toBe('partition');
    expect(error.message).toMatch(/'between'.*'shared'.*both sides.*'head'/s);
  });

  it('named in the wrong order is refused with both names', async () => {
    const error = await refused(compiledClassifier(), { stages: 'auto', partition: ['head', 'hidden1'] });
    expect(error['path']).toBe('partition');
    expect(error.message).toMatch(/'hidden1'.*'head'/s);
  });

  it('whose names make another number of stages than `stages` is refused with both numbers', async () => {
    const error = await refused(compiledClassifier(), { stages: 3, partition: ['hidden1'] });
    expect(error['path']).toBe('stages');
    expect(error.message).toMatch(/'stages' is 3.*`partition`.*2 stages/s);
  });
});

describe('a schedule of your own', () => {
  const own = (orders: object[][]) =>
    ({
      name: 'own',
      stageCount: 2,
      microBatchCount: 1,
      workerOfStage: [0, 1],
      orders,
    }) as unknown as NonNullable<PipelineOptions['schedule']>;
  const work = (stage: number) =>
    ['forward', 'backwardInput', 'backwardWeight'].map(kind => ({ kind, stage, microBatches: [0] }));

  it('that leaves work out is refused with the action that is missing and a picture', async () => {
    const schedule = own([work(0).slice(0, 2), work(1)]);
    const error = await refused(compiledClassifier(), { stages: 'auto', microBatches: 'auto', schedule });
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error['path']).toBe('schedule');
    expect(error.message).toMatch(/0W0/);
  });

  it('for another number of stages than `stages` or `partition` is refused with both numbers', async () => {
    const schedule = own([work(0), work(1)]);
    const model = compiledClassifier();
    expect((await refused(model, { stages: 3, schedule })).message).toMatch(/'stages' is 3.*schedule.*2/s);
    const error = await refused(model, { stages: 'auto', schedule, partition: ['hidden1', 'head'] });
    expect(error['path']).toBe('partition');
    expect(error.message).toMatch(/3 stages.*schedule is for 2/s);
  });
});

describe('micro-batches', () => {
  it('are refused where a stateful layer keeps a state for whole batches', async () => {
    const model = tf.sequential({
      layers: [
        tf.layers.simpleRNN({ name: 'memory', units: 3, stateful: true, batchInputShape: [8, 4, 2] }),
        tf.layers.dense({ units: 1 }),
      ],
    });
    compile(model, { loss: 'meanSquaredError' });
    const error = await refused(model, { microBatches: 2 });
    expect(error['path']).toBe('microBatches');
    expect(error.message).toMatch(/'memory' is stateful/);
  });

  it("are refused beside batchNorm 'exact', with the name of the layer", async () => {
    const error = await refused(normalised(), { batchNorm: 'exact', microBatches: 2 });
    expect(error['path']).toBe('batchNorm');
    expect(error.message).toMatch(/'exact'.*microBatches 2.*'norm'/s);
  });

  it('on a batch norm without a word about it give a warning that names the layer', async () => {
    const trainer = await open(normalised(), { microBatches: 2 });
    const warnings: { code: string; message: string }[] = [];
    trainer.events$.subscribe(event => {
      if (event.kind === 'warning') warnings.push(event);
    });
    expect(warnings.map(({ code }) => code)).toEqual(['BATCH_NORM_MICRO_BATCH']);
    expect(warnings[0]!.message).toContain("'norm'");
  });
});

describe('a setup module', () => {
  it('that does not exist is refused with its path', async () => {
    const error = await refused(compiledClassifier(), { setup: fixture('nowhere.mjs') });
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error['path']).toBe('setup');
    expect(error.message).toContain('nowhere.mjs');
  });

  it('that throws is refused with its path and what it threw', async () => {
    const error = await refused(compiledClassifier(), { setup: [fixture('throws.mjs')] });
    expect(error['path']).toBe('setup');
    expect(error.message).toMatch(/throws\.mjs.*no layers today/s);
    expect(error.cause).toMatchObject({ message: 'no layers today' });
  });

  it('that throws in workers alone fails with what it threw', async () => {
    const error = await refused(compiledClassifier(), { setup: fixture('throws-in-workers.mjs') });
    expect(error).toBeInstanceOf(StageError);
    expect(error['worker']).toBeTypeOf('number');
    expect(error.message).toContain('only at home in the main thread');
  });
});

describe('MILLRACE_BACKEND', () => {
  afterEach(() => vi.unstubAllEnvs());

  it('that names no engine is refused with the names of all', async () => {
    vi.stubEnv('MILLRACE_BACKEND', 'webgpu');
    const error = await refused(compiledClassifier(), { backend: 'auto' });
    expect(error).toBeInstanceOf(BackendError);
    expect(error['backend']).toBe('webgpu');
    expect(error.message).toContain('webgpu');
    expect(error.message).toMatch(/MILLRACE_BACKEND.*tensorflow.*wasm.*cpu/s);
  });

  it('decides for `auto`, and the plan says so', async () => {
    vi.stubEnv('MILLRACE_BACKEND', 'cpu');
    const { plan } = await open(compiledClassifier(), { backend: 'auto' });
    expect(plan).toMatchObject({ backend: 'cpu', backendReason: 'forced by MILLRACE_BACKEND' });
  });
});

it('works at once after any number of refusals', async () => {
  const model = compiledClassifier();
  await refused(model, { stages: 9 });
  await refused(model, { setup: fixture('throws-in-workers.mjs') });
  const { x, y } = samples(16);
  const { history } = await (await open(model)).fit(x, y, { batchSize: 8 });
  expect(history['loss']![0]).toBeGreaterThan(0);
});

function normalised(): tf.Sequential {
  const model = tf.sequential({
    layers: [
      tf.layers.dense({ units: 4, inputShape: [6] }),
      tf.layers.batchNormalization({ name: 'norm' }),
      tf.layers.dense({ units: 3, activation: 'softmax' }),
    ],
  });
  compile(model);
  return model;
}

/** The smallest frozen graph: one placeholder, passed through. */
function graphModel(): tf.GraphModel {
  const float = { type: 'DT_FLOAT' };
  const model = tf.loadGraphModelSync({
    modelTopology: {
      node: [
        { name: 'x', op: 'Placeholder', attr: { dtype: float, shape: { shape: { dim: [{ size: 1 }] } } } },
        { name: 'y', op: 'Identity', input: ['x'], attr: { T: float } },
      ],
      versions: { producer: 1 },
    },
    weightSpecs: [],
    weightData: new ArrayBuffer(0),
  });
  return model as unknown as tf.GraphModel;
}
