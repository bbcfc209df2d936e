/** What partitioning works on: a model as a row of units in topological order, and the places where it may be cut. */

/** A piece of the model that is never divided: usually one call of one layer. */
export interface PartitionUnit {
  readonly name: string;
  /** In order; the first one names the unit's beginning. */
  readonly layerNames: readonly string[];
  readonly parameters: number;
}

export interface PartitionProblem<Unit extends PartitionUnit = PartitionUnit> {
  readonly units: readonly Unit[];
  /** Ascending unit indices; `k` allows a cut before unit k. */
  readonly allowedCuts: readonly number[];
  /** Why no cut is allowed before a unit, where the model knows. Shown to users. */
  readonly closedCuts?: ReadonlyMap<number, string>;
}

/** A unit whose work has been measured, for one micro-batch. */
export interface MeasuredUnit extends PartitionUnit {
  readonly forwardMs: number;
  readonly backwardMs: number;
  /** Held all the time: weights, their gradients, optimizer slots. Default 0. */
  readonly residentBytes?: number;
  /** Held for every live micro-batch: what F keeps for B and W. Default 0. */
  readonly activationBytes?: number;
}

export interface MeasuredProblem extends PartitionProblem<MeasuredUnit> {
  /** Bytes of activations that cross each allowed cut per micro-batch, in the order of `allowedCuts`. */
  readonly cutBytes: readonly number[];
}

/** Unit indices at which stages 1, 2, … begin, ascending. */
export type Cuts = readonly number[];
