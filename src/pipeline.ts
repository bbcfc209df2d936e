/** `pipeline()`: from a model and options to a trainer, checked, planned and with its workers running. */
import type * as tf from '@tensorflow/tfjs';
import { withBackend } from './backends/index.js';
import { assertCompiled, assertTracedLayers, functionLocator, readGraph } from './model/index.js';
import { type PipelineOptions, parseOptions } from './options.js';
import { PipelinedModel, type ShowProgress } from './pipelined-model.js';
import { openProfiles } from './profiles/index.js';
import { countStages } from './scheduler/driver/plan-model.js';
import { Runtime } from './scheduler/driver/runtime.js';
import type { ThreadSource } from './scheduler/driver/thread-source.js';
import { importSetupModules } from './setup-modules.js';

/**
 * Cuts a compiled model into stages and starts a worker thread for each.
 *
 * @param model a built and compiled `tf.LayersModel` or `tf.Sequential`; its weights are kept up to date by `fit`
 * @throws ConfigurationError for an option that is unknown or ill-typed, or that does not suit the model
 * @throws ModelError for a model that is not compiled, not built, or no LayersModel
 * @throws BackendError for a backend that was asked for and cannot load
 */
export function pipeline(model: tf.LayersModel, options?: PipelineOptions): Promise<PipelinedModel> {
  return openTrainer(model, options, {});
}

/**
 * What a trainer takes from whoever runs several of them side by side, or wants nothing but its plan.
 *
 * @internal
 */
export interface TrainerHost {
  /** Where worker threads come from. Default: threads of the trainer's own. */
  readonly threads?: ThreadSource | undefined;
  /** Breaks off the opening of the trainer. */
  readonly signal?: AbortSignal | undefined;
  /** Shows the progress of every fit, whatever its `verbose`. */
  readonly showProgress?: ShowProgress | undefined;
  /** Whether a choice that is left to Millrace is made at once, by simulating plans. */
  readonly decidesByPrediction?: boolean | undefined;
}

/**
 * `pipeline()` for a trainer among others.
 *
 * @internal
 */
export async function openTrainer(
  model: tf.LayersModel,
  options: PipelineOptions | undefined,
  { threads, signal, showProgress: show, decidesByPrediction }: TrainerHost,
): Promise<PipelinedModel> {
  const resolved = parseOptions(options);
  const graph = readGraph(model);
  assertCompiled(model);
  assertTracedLayers(graph, resolved.tracedLayers);
  countStages(graph, resolved, 1);
  const modules = await importSetupModules(resolved.setup);
  const seed = resolved.seed ?? Math.floor(Math.random() * 2 ** 32);
  const { backend, runtime } = await withBackend(resolved.backend, async choice => ({
    backend: choice,
    runtime: await Runtime.start({
      graph,
      options: resolved,
      backend: choice.name,
      setup: [...modules.keys()],
      functions: functionLocator(modules),
      seed,
      poison: process.env['MILLRACE_POISON_SLOTS'] === '1',
      threads,
      signal,
      decidesByPrediction,
      profiles: await openProfiles(resolved.cache, {
        warnings: choice.warnings,
        setup: [...modules.keys()],
        tracedLayers: resolved.tracedLayers,
      }),
    }),
  }));
  const warnings = [
    ...backend.warnings.map(message => ({ code: 'BACKEND', message })),
    ...runtime.plan.warnings,
  ];
  return PipelinedModel.over({
    model,
    runtime,
    backend,
    seed,
    timelineSteps: resolved.timelineSteps,
    warnings,
    showProgress: show,
  });
}
