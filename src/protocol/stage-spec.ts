/**
 * What a worker needs to rebuild its stages: plain data, made on the main thread from the user's model.
 *
 * A *value* is one tensor of the model's graph (an input or a layer's output), named by a number that is
 * the same on every thread. Weights travel apart, as raw bytes in the order of `LayerSpec.weights`.
 */

/** JSON as structured clone carries it. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

export interface WeightSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: 'float32' | 'int32' | 'bool';
}

export interface LayerSpec {
  /** Position among the model's layers, which does not depend on the cut. */
  readonly index: number;
  readonly name: string;
  readonly className: string;
  /** The layer's tfjs config with its initializers replaced by zeros: weights are written right after. */
  readonly config: { readonly [key: string]: Json };
  /** Shapes that `build` is given, one per input of the layer's first call; `null` for the batch axis. */
  readonly buildShapes: readonly (readonly (number | null)[])[];
  /** In the canonical order of `model/weights.ts`, which does not depend on `trainable` flags. */
  readonly weights: readonly WeightSpec[];
}

/** One call of a layer. */
export interface NodeSpec {
  /** Index into `StageSpec.layers`. */
  readonly layer: number;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
}

/** The values that one edge carries, in message order. */
export interface EdgeValues {
  readonly peer: number;
  readonly values: readonly number[];
  /** Those of the values whose gradients flow back, in the order of the backward message. */
  readonly gradientValues: readonly number[];
}

/** Refers to one weight of a stage: `layer` indexes `StageSpec.layers`, `weight` its `weights`. */
export interface WeightRef {
  readonly layer: number;
  readonly weight: number;
  /** Number of the variable among all trainable ones of the model. */
  readonly order: number;
  /** Whether it stays as it is all the same, because it was frozen after the model was compiled. */
  readonly frozen: boolean;
}

/** Rows of a weight, along its first axis: from `begin` up to, not including, `end`. */
export interface RowRange {
  readonly begin: number;
  readonly end: number;
}

/** What one replica steps of a weight. */
export interface WeightShare {
  readonly replica: number;
  /** `undefined` for all of it. */
  readonly rows: RowRange | undefined;
}

/** A trainable weight in the stage that steps it. */
export interface OwnedWeightRef extends WeightRef {
  /**
   * Where the optimizer lists the variable. tfjs lists a weight once for every nested model that it is part of, keeps
   * slots for each entry, and steps it as often.
   */
  readonly positions: readonly number[];
  /** Which replica steps which of its rows, ascending: one share, of all rows, unless the weight is divided. */
  readonly shares: readonly WeightShare[];
}

/**
 * A copy of a weight that another copy owns, in this stage or another: its gradient goes to the owner, and the stepped
 * weight comes back.
 */
export interface CopiedWeightRef extends WeightRef {
  /** Stage of the owner. */
  readonly owner: number;
}

/** Weights of this stage that another one has copies of, in message order. */
export interface LentWeights {
  readonly peer: number;
  /** `WeightRef.order` of each. */
  readonly orders: readonly number[];
}

export interface StageSpec {
  /** Its number in schedules: replicas go on counting (`protocol/replica.ts`). */
  readonly stage: number;
  readonly replica: number;
  /** Number of the same stage in every replica. */
  readonly replicaStages: readonly number[];
  readonly layers: readonly LayerSpec[];
  /** Calls in execution order. */
  readonly nodes: readonly NodeSpec[];
  /** Model inputs that the driver feeds to this stage: value and position in the model's input list. */
  readonly fedInputs: readonly { readonly value: number; readonly input: number; readonly dtype: string }[];
  /** Model outputs that this stage computes: value and position in the model's output list. */
  readonly ownedOutputs: readonly { readonly value: number; readonly output: number }[];
  readonly incoming: readonly EdgeValues[];
  readonly outgoing: readonly EdgeValues[];
  /** The trainable weights that this stage owns; it steps its replica's shares of them. */
  readonly trainable: readonly OwnedWeightRef[];
  /** Ascending by `order`. */
  readonly copies: readonly CopiedWeightRef[];
  readonly lent: readonly LentWeights[];
}

/** Values of a stage that other stages, the driver or the metrics read. */
export function leavingValues({
  outgoing,
  ownedOutputs,
}: Pick<StageSpec, 'outgoing' | 'ownedOutputs'>): ReadonlySet<number> {
  return new Set([...outgoing.flatMap(({ values }) => values), ...ownedOutputs.map(({ value }) => value)]);
}

/** What is stepped of a weight: `weight` indexes `StageSpec.trainable`. */
export interface SteppedWeight {
  readonly weight: number;
  /** `undefined` for all of it. */
  readonly rows: RowRange | undefined;
}

/** One entry of the optimizer's list. */
export interface OptimizerEntry extends SteppedWeight {
  readonly position: number;
}

/** The part of the optimizer's list that a stage steps, in its order. */
export function optimizerEntries({
  trainable,
  replica,
}: Pick<StageSpec, 'trainable' | 'replica'>): readonly OptimizerEntry[] {
  return trainable
    .flatMap(({ positions, shares }, weight) =>
      sharesOf(shares, replica).flatMap(({ rows }) =>
        positions.map(position => ({ weight, rows, position })),
      ),
    )
    .sort((one, other) => one.position - other.position);
}

/** What the stage steps in each replica, by its number there, in order: nothing of frozen weights. */
export function steppedByStage({
  trainable,
  replicaStages,
}: Pick<StageSpec, 'trainable' | 'replicaStages'>): ReadonlyMap<number, readonly SteppedWeight[]> {
  const steppedBy = (stepper: number): SteppedWeight[] =>
    trainable.flatMap(({ shares, frozen }, weight) =>
      frozen ? [] : sharesOf(shares, stepper).map(({ rows }) => ({ weight, rows })),
    );
  return new Map(replicaStages.map((stage, replica) => [stage, steppedBy(replica)]));
}

function sharesOf(shares: readonly WeightShare[], stepper: number): readonly WeightShare[] {
  return shares.filter(({ replica }) => replica === stepper);
}

/** A function that workers resolve by name: from tfjs itself or from a `setup` module. */
export interface FunctionRef {
  readonly module: string;
  readonly name: string;
}

export type NamedFunction = string | { readonly ref: FunctionRef };

/** Whether a loss takes class indices rather than one number for each class. */
export function takesLabels(loss: NamedFunction | undefined): boolean {
  return loss === 'sparseCategoricalCrossentropy';
}

/** What `model.compile` was given, as data. */
export interface CompileSpec {
  readonly optimizer: { readonly className: string; readonly config: { readonly [key: string]: Json } };
  /** One loss per model output. */
  readonly losses: readonly NamedFunction[];
  /** What each output's loss counts in the total. */
  readonly lossWeights: readonly number[];
  /** Metrics of each model output. */
  readonly metrics: readonly (readonly NamedFunction[])[];
  readonly outputs: readonly { readonly name: string; readonly shape: readonly (number | null)[] }[];
}

/**
 * What batch normalization does with a mini-batch in several micro-batches. `exact` allows one micro-batch only; else each
 * is normalised by itself, and running statistics move with every micro-batch or, `deferred`, once a mini-batch.
 */
export type BatchNormMode = 'exact' | 'micro-batch' | 'deferred';

/** An engine that can run stages. */
export type BackendName = 'tensorflow' | 'wasm' | 'cpu';
