/**
 * A random training job as plain data: what is printed when it fails, and what builds the model. Nothing here is random any
 * more; see arbitrary.ts.
 */

/** Shape of one sample, without the batch axis. */
export type SampleShape = readonly number[];

export type Config = Readonly<Record<string, unknown>>;

/** A layer without its place in a graph: a key of `tf.layers` with its arguments. */
export interface LayerSpec {
  readonly layer: string;
  readonly config: Config;
  /** The layer that a wrapper wraps, the cells of a generic RNN, or the layers of a nested model. */
  readonly inner?: readonly LayerSpec[];
}

/** A call that makes one value: of a layer of its own, or of an earlier call's layer (`again`), whose weights it shares. */
export interface CallSpec {
  readonly name: string;
  readonly of: readonly string[];
  readonly make: LayerSpec | { readonly again: string };
  /** Whether a mask comes with the first input. */
  readonly masked: boolean;
}

export interface InputSpec {
  readonly name: string;
  readonly shape: SampleShape;
  /** `tokens` are whole numbers below `VOCABULARY`; `padded` ones end in zeros. */
  readonly holds: 'numbers' | 'tokens' | 'padded tokens';
}

export const VOCABULARY = 7;

/** How the targets of an output are drawn. */
export type TargetKind = 'numbers' | 'counts' | 'bits' | 'signs' | 'one-hot' | 'class' | 'distribution';

export interface OutputSpec {
  /** Name of a call. */
  readonly value: string;
  readonly shape: SampleShape;
  readonly targets: TargetKind;
  /** As `compile` takes it; `tf.losses.…` stands for that function. */
  readonly loss: string;
  readonly metrics: readonly string[];
}

export interface ModelSpec {
  readonly inputs: readonly InputSpec[];
  readonly calls: readonly CallSpec[];
  readonly outputs: readonly OutputSpec[];
}

export interface DataSpec {
  readonly sampleCount: number;
  readonly batchSize: number;
  readonly epochs: number;
  /** Of samples, targets and first weights. */
  readonly seed: number;
}

export interface PlanSpec {
  /** One number a cut; each is taken modulo the places where the model may be cut. */
  readonly cuts: readonly number[];
  readonly partition: 'names' | 'uniform' | 'parameters';
  /** Of one replica. */
  readonly workers: number;
  readonly replicas: number;
  readonly microBatches: number;
  readonly schedule: 'gpipe' | '1f1b' | 'interleaved' | 'zero-bubble' | 'zb-v' | 'greedy';
  readonly recompute: 'never' | 'except-last' | 'always';
}

export type OptimizerKind = 'sgd' | 'momentum' | 'nesterov' | 'adam' | 'rmsprop' | 'adagrad' | 'adadelta';

export interface CaseSpec {
  readonly model: ModelSpec;
  readonly data: DataSpec;
  readonly optimizer: OptimizerKind;
  /** What a batch norm sees, where there is one: the whole mini-batch or each micro-batch. */
  readonly batchNorm: 'exact' | 'micro-batch';
  readonly plan: PlanSpec;
}

/** All layers of a model, inner ones included, each once. */
export function allLayers({ calls }: ModelSpec): LayerSpec[] {
  const within = (spec: LayerSpec): LayerSpec[] => [spec, ...(spec.inner ?? []).flatMap(within)];
  return calls.flatMap(({ make }) => ('again' in make ? [] : within(make)));
}

/** Whether samples of a batch act on each other, so that micro-batches change the numbers. */
export function isBatchNormalized(model: ModelSpec): boolean {
  return allLayers(model).some(({ layer }) => layer === 'batchNormalization');
}
