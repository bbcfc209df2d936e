/** Trains a trial with a pipeline of its own, on worker threads that all trials share. */
import type * as tf from '@tensorflow/tfjs';
import { openTrainer } from '../pipeline.js';
import type { PipelinedModel } from '../pipelined-model.js';
import type { TrialsProgress } from '../report/trials-progress.js';
import type { UserDataset } from '../scheduler/driver/data/dataset.js';
import { WorkerShelf } from '../scheduler/driver/worker-shelf.js';
import type { CheckedTrial } from './options.js';
import { failure, type TrialEnd, type TrialRunner } from './run-trials.js';
import type { Trial, TrialFitArgs, TrialFitDatasetArgs, TrialTensors } from './trial.js';
import { unlessAborted } from './unless-aborted.js';

export class TrainerRunner implements TrialRunner {
  readonly #shelf: WorkerShelf;
  readonly #progress: TrialsProgress | undefined;

  constructor(cores: number, progress: TrialsProgress | undefined) {
    this.#shelf = new WorkerShelf(cores);
    this.#progress = progress;
  }

  async run(checked: CheckedTrial, signal: AbortSignal): Promise<TrialEnd> {
    const { trial } = checked;
    const shown = this.#progress?.begin(checked.name);
    let model: tf.LayersModel | undefined;
    let end: TrialEnd;
    try {
      model = await makeModel(trial, signal);
      const history = await this.#train(checked, model, signal, shown?.watch);
      end = { status: 'completed', history, model };
    } catch (error) {
      // What a trial that is being ended throws is no fault of its own.
      end = signal.aborted ? { status: 'cancelled', model } : failure(error, model);
    }
    shown?.end(end);
    return end;
  }

  async #train(
    { trial, pipeline }: CheckedTrial,
    model: tf.LayersModel,
    signal: AbortSignal,
    showProgress: Parameters<typeof openTrainer>[2]['showProgress'],
  ): Promise<tf.History> {
    const data = await unlessAborted(() => makeData(trial), signal);
    const trainer = await openTrainer(model, pipeline, { threads: this.#shelf, signal, showProgress });
    try {
      return await trainOn(trainer, data, trial.options, signal);
    } finally {
      await trainer.close();
    }
  }

  /** Ends all worker threads; returns when they are gone. */
  close(): Promise<void> {
    return this.#shelf.close();
  }
}

function makeModel({ model }: Trial, signal: AbortSignal): Promise<tf.LayersModel> {
  if (typeof model !== 'function') return Promise.resolve(model);
  return unlessAborted(
    async () => model(),
    signal,
    late => late.dispose(),
  );
}

type Data =
  | { readonly kind: 'tensors'; readonly tensors: TrialTensors }
  | { readonly kind: 'dataset'; readonly dataset: UserDataset };

/** Calls a function once to see which kind it is; a dataset's function is called anew for every later epoch. */
async function makeData({ data }: Trial): Promise<Data> {
  if (typeof data !== 'function') return kindOf(data);
  let first: unknown = await data();
  const made = kindOf(first as TrialTensors | UserDataset);
  if (made.kind === 'tensors') return made;
  const dataset = (): unknown => {
    const batches = first ?? data();
    first = undefined;
    return batches;
  };
  return { kind: 'dataset', dataset: dataset as UserDataset };
}

function kindOf(data: TrialTensors | UserDataset): Data {
  return typeof data === 'object' && data !== null && 'x' in data && 'y' in data
    ? { kind: 'tensors', tensors: data }
    : { kind: 'dataset', dataset: data as UserDataset };
}

function trainOn(
  trainer: PipelinedModel,
  data: Data,
  options: TrialFitArgs | TrialFitDatasetArgs | undefined,
  signal: AbortSignal,
): Promise<tf.History> {
  const { pipeline: _, ...args } = options ?? {};
  return data.kind === 'tensors'
    ? trainer.fit(data.tensors.x, data.tensors.y, { ...(args as TrialFitArgs), signal })
    : trainer.fitDataset(data.dataset, { ...(args as TrialFitDatasetArgs), signal });
}
