/** Training, evaluating and predicting take what tfjs takes and give what tfjs gives, as promises. */
import type * as tf from '@tensorflow/tfjs';
import {
  type FitArgs,
  type PipelinedModel,
  type TensorBoardOptions,
  type TrainerEvent,
  tensorBoard,
  type UserDataset,
  type UserTensors,
} from 'millrace';
import type { Observable } from 'rxjs';
import { describe, expectTypeOf, it } from 'vitest';

declare const trainer: PipelinedModel;
declare const tensor: tf.Tensor2D;

/** What plain tfjs gives, whether or not it is a promise of it. */
type OfTfjs<Method extends keyof tf.LayersModel> = tf.LayersModel[Method] extends (
  ...args: never[]
) => infer Result
  ? Awaited<Result>
  : never;

describe('fit', () => {
  it('gives the History that tfjs gives', () => {
    expectTypeOf(trainer.fit(tensor, tensor)).resolves.toEqualTypeOf<OfTfjs<'fit'>>();
  });

  it('takes one tensor, several, or tensors by name', () => {
    expectTypeOf<UserTensors>().toEqualTypeOf<tf.Tensor | tf.Tensor[] | { [name: string]: tf.Tensor }>();
    trainer.fit([tensor, tensor], { label: tensor });
    // @ts-expect-error: numbers are no tensor
    trainer.fit([[1, 2]], tensor);
  });

  it('takes the arguments of tfjs that it supports', () => {
    type Shared =
      | 'batchSize'
      | 'epochs'
      | 'verbose'
      | 'validationSplit'
      | 'validationData'
      | 'shuffle'
      | 'classWeight'
      | 'initialEpoch'
      | 'yieldEvery';
    expectTypeOf<Pick<tf.ModelFitArgs, Shared>>().toExtend<FitArgs>();
    expectTypeOf<FitArgs['epochs']>().toEqualTypeOf<tf.ModelFitArgs['epochs']>();
    expectTypeOf<FitArgs['signal']>().toEqualTypeOf<AbortSignal | undefined>();
  });

  it('takes callbacks in every form of tfjs', () => {
    const earlyStopping = {} as tf.EarlyStopping;
    const args: FitArgs[] = [
      { callbacks: { onEpochEnd: (epoch, logs) => console.log(epoch, logs?.['loss']) } },
      { callbacks: [{ onBatchEnd: async () => {} }] },
      { callbacks: earlyStopping },
      { callbacks: [earlyStopping, tensorBoard('logs')] },
    ];
    expectTypeOf(args).toExtend<readonly FitArgs[]>();
    // @ts-expect-error: no hook has this name
    trainer.fit(tensor, tensor, { callbacks: { onEpocEnd: () => {} } });
    // @ts-expect-error: a trainer is no callback
    trainer.fit(tensor, tensor, { callbacks: trainer });
    // @ts-expect-error: a name is no callback
    trainer.fit(tensor, tensor, { callbacks: 'earlyStopping' });
  });

  it('refuses arguments that do not exist', () => {
    // @ts-expect-error: no such argument
    trainer.fit(tensor, tensor, { epoch: 2 });
    // @ts-expect-error: a controller is not its signal
    trainer.fit(tensor, tensor, { signal: new AbortController() });
  });

  it('can be an Observable of events', () => {
    expectTypeOf(trainer.fit$(tensor, tensor)).toEqualTypeOf<Observable<TrainerEvent>>();
    expectTypeOf(trainer.fit$).parameters.toEqualTypeOf<Parameters<PipelinedModel['fit']>>();
  });
});

describe('fitDataset', () => {
  it('takes what gives mini-batches: datasets, iterables, generators', () => {
    type Batch = { xs: tf.Tensor; ys: tf.Tensor };
    expectTypeOf<tf.data.Dataset<Batch>>().toExtend<UserDataset>();
    expectTypeOf<Batch[]>().toExtend<UserDataset>();
    expectTypeOf<Generator<Batch>>().toExtend<UserDataset>();
    expectTypeOf<() => AsyncGenerator<Batch, void, unknown>>().toExtend<UserDataset>();
    expectTypeOf<tf.Tensor>().not.toExtend<UserDataset>();
    expectTypeOf(trainer.fitDataset).returns.resolves.toEqualTypeOf<OfTfjs<'fitDataset'>>();
  });
});

describe('evaluate, predict and save', () => {
  it('give what tfjs gives', () => {
    expectTypeOf(trainer.evaluate(tensor, tensor)).resolves.toEqualTypeOf<OfTfjs<'evaluate'>>();
    expectTypeOf(trainer.predict(tensor)).resolves.toEqualTypeOf<OfTfjs<'predict'>>();
    expectTypeOf(trainer.save('file://model')).resolves.toEqualTypeOf<OfTfjs<'save'>>();
    expectTypeOf(trainer.resetStates()).resolves.toBeVoid();
    expectTypeOf(trainer.close()).resolves.toBeVoid();
  });

  it('take a batch size', () => {
    trainer.evaluate(tensor, tensor, { batchSize: 8 });
    trainer.predict(tensor, { batchSize: 8 });
    // @ts-expect-error: no such argument
    trainer.predict(tensor, { batch: 8 });
  });
});

describe('tensorBoard()', () => {
  it('is a callback of plain tfjs as well', () => {
    expectTypeOf(tensorBoard).returns.toEqualTypeOf<tf.CustomCallback>();
    expectTypeOf(tensorBoard('logs')).toExtend<NonNullable<tf.ModelFitArgs['callbacks']>>();
    expectTypeOf<TensorBoardOptions['updateFreq']>().toEqualTypeOf<'epoch' | 'batch' | undefined>();
    // @ts-expect-error: no such frequency
    tensorBoard('logs', { updateFreq: 'step' });
  });
});
