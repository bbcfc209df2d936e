/** The options of `pipeline()` as users see them. `options.ts` checks values against a schema that must say the same. */
import type { Schedule } from './protocol/schedule.js';
import type { BackendName } from './protocol/stage-spec.js';
import type { SavedPlan } from './saved-plan.js';

/** How a model is run. Everything is optional; `auto` is decided from the model and the machine. */
export interface PipelineOptions {
  /** Engine inside the workers; `auto` takes the first of tensorflow, wasm and cpu that loads. Default `auto`. */
  readonly backend?: BackendName | 'auto' | undefined;
  /** Worker threads; `auto` is one a core. Default `auto`. */
  readonly workers?: number | 'auto' | undefined;
  /**
   * Pieces that the model is cut into; `auto` is one a worker, as far as the model can be cut. With more stages than workers,
   * a worker holds several. Default `auto`.
   */
  readonly stages?: number | 'auto' | undefined;
  /**
   * Data-parallel copies of the whole pipeline, each with workers of its own: every mini-batch is shared out among them, and
   * they step with the gradients of all. Alone, `replicas: n` is plain data parallelism: a copy of the model in each of n
   * workers. Default `auto`.
   */
  readonly replicas?: number | 'auto' | undefined;
  /**
   * Pieces that a mini-batch, or a replica's part of it, is cut into; `auto` measures the layers, begins with what they foretell to be
   * fastest for mini-batches of `batchSize`, and tries other numbers in training that come near to it. Default `auto`.
   */
  readonly microBatches?: number | 'auto' | undefined;
  /** Samples of the mini-batches that `auto` plans for; those of `fit` may have any size. Default 32, as in `fit`. */
  readonly batchSize?: number | undefined;
  /**
   * Order of work in each worker, by name, or a schedule of your own. `interleaved` and `zb-v` are made for two stages a worker
   * or more, and with `stages: 'auto'` the model is cut into two a worker; `greedy` is made from measured times, so it may
   * differ from run to run. Default `auto`, which is `zero-bubble`.
   */
  readonly schedule?:
    | 'auto'
    | '1f1b'
    | 'gpipe'
    | 'interleaved'
    | 'zero-bubble'
    | 'zb-v'
    | 'greedy'
    | Schedule
    | undefined;
  /**
   * Where to cut: by measured time (`auto`), number of layers (`uniform`), number of weights (`parameters`), or by the names of
   * the layers that begin stages 1, 2, …. Default `auto`.
   */
  readonly partition?: 'auto' | 'uniform' | 'parameters' | readonly string[] | undefined;
  /**
   * Which forward passes run again before their backward pass, to keep fewer activations; `auto` is none, or as few as
   * `memoryLimit` allows. Default `auto`.
   */
  readonly recompute?: 'auto' | 'never' | 'except-last' | 'always' | undefined;
  /**
   * A plan that was made before, as `trainer.plan` gives it, also after JSON: nothing is measured then, and nothing else is
   * tried. It stands for `workers`, `stages`, `replicas`, `microBatches`, `schedule`, `partition` and `recompute`, which
   * cannot be given beside it, and must be of a model with the same layer names. None by default.
   */
  readonly plan?: SavedPlan | undefined;
  /**
   * Bytes that each worker may hold in training, as estimated for mini-batches of `batchSize`: weights, gradients, the
   * optimizer's slots and activations. The engine itself comes on top, with its scratch space: leave it some 200 MB. Only plans
   * that keep within the limit are made. None by default.
   */
  readonly memoryLimit?: number | undefined;
  /**
   * What batch normalization is computed over. `exact` keeps the numbers of plain `fit` and needs one micro-batch;
   * `micro-batch` normalises each micro-batch by itself, as GPipe does; `deferred` does so too, but moves running statistics
   * once a mini-batch. Default `auto`.
   */
  readonly batchNorm?: 'auto' | 'exact' | 'micro-batch' | 'deferred' | undefined;
  /**
   * Gradients whose L2 norm over all weights is larger are scaled down to it before the step; a tied weight counts once.
   * None by default.
   */
  readonly clipNorm?: number | undefined;
  /**
   * What each output's loss counts in the total, for models with several outputs: a list, or an object by output name in which
   * an output that is left out counts 1. tfjs has no such weights.
   */
  readonly lossWeights?: readonly number[] | Readonly<Record<string, number>> | undefined;
  /** Modules that every worker imports first, for custom layers, losses and metrics: paths or `file:` URLs. */
  readonly setup?: string | readonly string[] | undefined;
  /**
   * Class names of layers of your own that may run as graphs on tensorflow, which is faster where a call consists of many small
   * operations. Such a layer computes the same operations at each call with inputs of the same shapes, from its inputs, its
   * weights and its config alone. One that is found to do something else runs op by op, with a warning; one that changes what it
   * does after many calls cannot be found out, and must not be named. None by default.
   */
  readonly tracedLayers?: readonly string[] | undefined;
  /** Of shuffling and of random layers, for runs that can be repeated. A random one by default. */
  readonly seed?: number | undefined;
  /** How many of the last training steps `timeline()` can show; 0 records none. Default 32. */
  readonly timelineSteps?: number | undefined;
  /**
   * Where measured times of layers are kept for later trainers of such a model on this machine: `true` in the user's cache
   * folder, a path in a folder of your own, `false` nowhere. Default `true`.
   */
  readonly cache?: boolean | string | undefined;
  /** How long nothing may move before `fit` gives up, in milliseconds; `Infinity` for ever. Default 60,000. */
  readonly stallTimeoutMs?: number | undefined;
}
