/** Loads a model, plans it as `pipeline()` does, and describes the plan. */
import { resolve } from 'node:path';
import { ModelError } from '../../errors.js';
import { fileSystem, formatPlan, ModelFileError, type PipelineOptions } from '../../index.js';
import { openTrainer } from '../../pipeline.js';
import { drawPlan } from '../../report/plan-picture.js';
import { timelineFormat } from '../../report/timeline/index.js';
import { importSetupModules } from '../../setup-modules.js';
import { tf } from '../../tf.js';
import { compileForPlan } from './compile.js';

/** What the command line gives. */
export interface PlanCommandOptions {
  readonly backend: string;
  readonly workers: number | 'auto';
  readonly stages: number | 'auto';
  readonly replicas: number | 'auto';
  readonly microBatches: number | 'auto';
  readonly batchSize: number;
  readonly schedule: string;
  readonly memoryLimit?: number;
  readonly optimizer?: string;
  readonly loss?: string;
  readonly setup?: readonly string[];
  readonly tracedLayers?: readonly string[];
  readonly timeline?: string;
  readonly cache: boolean;
  readonly json?: boolean;
}

/** @returns what the command prints */
export async function runPlan(path: string, options: PlanCommandOptions): Promise<string> {
  const { workers, stages, replicas, microBatches, batchSize, memoryLimit, cache } = options;
  const { backend, schedule, timeline: file, json } = options;
  if (file !== undefined) timelineFormat(file);
  // The main thread computes nothing; without this tfjs advises to install a native backend, which the workers may have.
  tf.enableProdMode();
  const setup = (options.setup ?? []).map(module => resolve(module));
  await importSetupModules(setup);
  const model = await load(path);
  const assumptions = compileForPlan(model, options);
  // Names are checked by `pipeline()`, which lists those that there are.
  const named = { backend, schedule } as Pick<PipelineOptions, 'backend' | 'schedule'>;
  const counts = { workers, stages, replicas, microBatches, batchSize, memoryLimit };
  const trainer = await openTrainer(
    model,
    { ...named, ...counts, cache, setup, tracedLayers: options.tracedLayers },
    { decidesByPrediction: true },
  );
  try {
    const { plan } = trainer;
    if (file !== undefined) await trainer.timeline().save(file);
    if (json === true) return JSON.stringify({ model: model.name, assumptions, plan }, null, 2);
    return [
      `model     ${model.name}`,
      ...assumptions.map(text => `assumed   ${text}`),
      formatPlan(plan),
      '',
      drawPlan(plan, process.stdout.columns),
      ...(plan.candidates.length === 0 ? [] : ['', plan.explain()]),
      ...(file === undefined ? [] : ['', `wrote the predicted timeline to ${file}`]),
    ].join('\n');
  } finally {
    await trainer.close();
  }
}

/** What tfjs says of a topology that it cannot build does not name the file. */
async function load(path: string): Promise<tf.LayersModel> {
  try {
    return await tf.loadLayersModel(fileSystem(path));
  } catch (error) {
    if (error instanceof ModelFileError) throw error;
    throw new ModelError(
      `The model in '${path}' cannot be built: ${(error as Error).message} Layers of your own are registered by modules that ` +
        '--setup names.',
      undefined,
      { cause: error },
    );
  }
}
