/** What `pipeline()` says to options that it does not know or cannot use. */
import * as tf from '@tensorflow/tfjs';
import { ConfigurationError, type PipelineOptions, pipeline } from 'millrace';
import { beforeAll, describe, expect, it } from 'vitest';
import { compiledClassifier, refusal } from './helpers.js';

let model: tf.Sequential;
beforeAll(async () => {
  await tf.setBackend('cpu');
  model = compiledClassifier();
});

const schedule = {
  name: 'own',
  stageCount: 1,
  microBatchCount: 1,
  workerOfStage: [0],
  orders: [[{ kind: 'forward', stage: 0, microBatches: [0] }]],
};

describe('an option that is unknown', () => {
  it.each(['epochs', 'microbatches', 'worker'])("'%s' is refused with the list of options", async key => {
    const error = await refusal(() => pipeline(model, { [key]: 1 } as PipelineOptions));
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error).toMatchObject({ name: 'ConfigurationError', code: 'MILLRACE_CONFIGURATION', path: key });
    expect(error.message).toContain(`Unknown option '${key}'`);
    expect(error.message).toMatch(
      /backend, workers, stages, replicas, microBatches, batchSize, schedule, partition, recompute/,
    );
  });
});

/** Refers to itself, as layers do. */
class Circular {
  readonly self = this;
}

describe('an option of the wrong type', () => {
  const table: [key: string, value: unknown, got: string, takes: RegExp][] = [
    ['backend', 'webgl', "'webgl'", /'auto', 'tensorflow', 'wasm' or 'cpu'/],
    ['backend', 1, '1', /'tensorflow'/],
    ['workers', 0, '0', /'auto' or a whole number of at least 1/],
    ['workers', 1.5, '1.5', /whole number/],
    ['workers', '2', "'2'", /whole number/],
    ['workers', null, 'null', /whole number/],
    ['workers', Number.NaN, 'NaN', /whole number/],
    ['stages', -1, '-1', /whole number of at least 1/],
    ['stages', 'many', "'many'", /'auto' or a whole number/],
    ['stages', [2], '[2]', /whole number/],
    ['microBatches', 0, '0', /whole number of at least 1/],
    ['microBatches', Number.POSITIVE_INFINITY, 'Infinity', /whole number/],
    ['batchSize', 0, '0', /a whole number of at least 1/],
    ['schedule', 'zigzag', "'zigzag'", /'gpipe', '1f1b', 'interleaved', 'zero-bubble', 'zb-v', 'greedy'/],
    ['schedule', { name: 'own' }, '{"name":"own"}', /a Schedule object/],
    [
      'schedule',
      { ...schedule, orders: [[{ kind: 'sideways', stage: 0, microBatches: [0] }]] },
      'sideways',
      /Schedule object/,
    ],
    ['partition', 'halves', "'halves'", /'uniform', 'parameters' or a list of the names/],
    ['partition', [], '[]', /list of the names/],
    ['partition', [1], '[1]', /list of the names/],
    ['partition', [new Circular()], '[ [Circular] ]', /list of the names/],
    ['recompute', true, 'true', /'auto', 'never', 'except-last' or 'always'/],
    ['memoryLimit', 0, '0', /a positive number of bytes/],
    ['memoryLimit', '1GB', "'1GB'", /a positive number of bytes/],
    ['batchNorm', 'none', "'none'", /'auto', 'exact', 'micro-batch' or 'deferred'/],
    ['setup', 7, '7', /the path of a module, or a list of paths/],
    ['setup', () => {}, 'a function', /path of a module/],
    ['seed', -1, '-1', /whole number of at least 0/],
    ['seed', 0.5, '0.5', /whole number/],
    ['timelineSteps', -1, '-1', /a whole number of at least 0/],
    ['cache', 1, '1', /true, false or the path of a folder/],
    ['cache', '', "''", /path of a folder/],
    ['stallTimeoutMs', 0, '0', /positive number of milliseconds/],
    ['stallTimeoutMs', '60s', "'60s'", /positive number/],
  ];

  it.each(table)('%s: %j is refused with what it got and what it takes', async (key, value, got, takes) => {
    const error = await refusal(() => pipeline(model, { [key]: value } as PipelineOptions));
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error['path']).toBe(key);
    expect(error.message).toContain(`'${key}'`);
    expect(error.message).toContain(got);
    expect(error.message).toMatch(takes);
  });

  it.each([
    [
      'a worker that has no stage',
      { workerOfStage: [1], orders: [[], schedule.orders[0]] },
      /worker 0 has no stage/,
    ],
    ['no placement', { workerOfStage: [] }, /workerOfStage names a worker for 0 stages, but there are 1/],
  ])(
    'a schedule with %s is refused before anything starts, whatever else is asked',
    async (_, change, message) => {
      for (const others of [{}, { workers: 2 }]) {
        const options = { ...others, schedule: { ...schedule, ...change } } as PipelineOptions;
        const error = await refusal(() => pipeline(model, options));
        expect(error).toMatchObject({ name: 'ConfigurationError', path: 'schedule' });
        expect(error.message).toMatch(message);
      }
    },
  );

  it.each([[7], ['fast'], [[1]]])('options that are %j are refused as a whole', async options => {
    const error = await refusal(() => pipeline(model, options as unknown as PipelineOptions));
    expect(error).toMatchObject({ name: 'ConfigurationError', path: 'options' });
    expect(error.message).toContain('object of options');
  });
});

it('stallTimeoutMs may be Infinity: nothing gives up, and training goes on', async () => {
  const trainer = await pipeline(model, {
    backend: 'cpu',
    stages: 1,
    stallTimeoutMs: Number.POSITIVE_INFINITY,
  });
  try {
    await trainer.predict(tf.zeros([2, 6]));
  } finally {
    await trainer.close();
  }
});
