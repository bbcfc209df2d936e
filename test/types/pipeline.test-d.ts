/** What TypeScript tells a user of `pipeline()`: what options take, and what they do not. */
import type * as tf from '@tensorflow/tfjs';
import {
  type BackendName,
  type LayerProfile,
  type ModelProfile,
  PipelinedModel,
  type PipelineOptions,
  type Plan,
  pipeline,
  type Schedule,
} from 'millrace';
import { describe, expectTypeOf, it } from 'vitest';

declare const model: tf.LayersModel;
declare const sequential: tf.Sequential;
declare const trainer: PipelinedModel;

describe('pipeline()', () => {
  it('takes any LayersModel and gives a trainer', () => {
    expectTypeOf(pipeline).parameter(0).toEqualTypeOf<tf.LayersModel>();
    expectTypeOf(pipeline).parameter(1).toEqualTypeOf<PipelineOptions | undefined>();
    expectTypeOf(pipeline).returns.resolves.toEqualTypeOf<PipelinedModel>();
    expectTypeOf(pipeline(sequential)).resolves.toEqualTypeOf<PipelinedModel>();
    // @ts-expect-error: a graph model cannot be trained
    pipeline({} as tf.GraphModel);
  });

  it('can be used with `await using`', () => {
    expectTypeOf<PipelinedModel>().toExtend<AsyncDisposable>();
  });

  it('has options that are all optional', () => {
    expectTypeOf<object>().toExtend<PipelineOptions>();
    expectTypeOf<Required<PipelineOptions>['backend']>().toEqualTypeOf<BackendName | 'auto' | undefined>();
    expectTypeOf<PipelineOptions['workers']>().toEqualTypeOf<number | 'auto' | undefined>();
    expectTypeOf<PipelineOptions['schedule']>().toEqualTypeOf<
      'auto' | '1f1b' | 'gpipe' | 'interleaved' | 'zero-bubble' | 'zb-v' | 'greedy' | Schedule | undefined
    >();
    expectTypeOf<PipelineOptions['memoryLimit']>().toEqualTypeOf<number | undefined>();
    // What a trainer gives, as it is and after JSON.
    expectTypeOf<Plan>().toExtend<NonNullable<PipelineOptions['plan']>>();
    expectTypeOf<PipelineOptions['cache']>().toEqualTypeOf<boolean | string | undefined>();
    expectTypeOf<PipelineOptions['setup']>().toEqualTypeOf<string | readonly string[] | undefined>();
  });

  it('takes back the schedule of a plan, and lists that are read-only', () => {
    const names = ['hidden'] as const;
    expectTypeOf<{ schedule: Plan['schedule'] }>().toExtend<PipelineOptions>();
    expectTypeOf<{ partition: typeof names; setup: typeof names }>().toExtend<PipelineOptions>();
  });

  it('refuses options and values that do not exist', () => {
    // @ts-expect-error: no such option
    pipeline(model, { microBatch: 2 });
    // @ts-expect-error: no such backend
    pipeline(model, { backend: 'webgl' });
    // @ts-expect-error: no such schedule
    pipeline(model, { schedule: 'zigzag' });
    // @ts-expect-error: a number in quotes
    pipeline(model, { workers: '2' });
    // @ts-expect-error: a layer is named, not numbered
    pipeline(model, { partition: [2] });
  });
});

describe('a trainer', () => {
  it('has the wrapped model and the plan, which nobody can replace', () => {
    expectTypeOf(trainer.model).toEqualTypeOf<tf.LayersModel>();
    expectTypeOf(trainer.plan).toEqualTypeOf<Plan>();
    // @ts-expect-error: read-only
    trainer.plan = {} as Plan;
    // @ts-expect-error: read-only, and all that is in it
    trainer.plan.stages[0]!.worker = 1;
  });

  it('has a profile that is plain data', () => {
    expectTypeOf(trainer.profile()).resolves.toEqualTypeOf<ModelProfile>();
    const { layers } = {} as ModelProfile['microBatches'][number];
    expectTypeOf(layers).toEqualTypeOf<readonly LayerProfile[]>();
    expectTypeOf<LayerProfile['forwardMs']>().toBeNumber();
  });

  it('is made by pipeline() alone', () => {
    // @ts-expect-error: what the constructor takes is no part of the public face
    new PipelinedModel(model);
    // @ts-expect-error: nor without anything
    new PipelinedModel();
    expectTypeOf<keyof typeof PipelinedModel>().toEqualTypeOf<'prototype'>();
  });
});
