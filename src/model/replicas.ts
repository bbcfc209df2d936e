/**
 * Which replica steps which weights. Every replica has all weights, but each is stepped by one of them, as a whole or by rows, which keeps
 * the optimizer's slots for that, as in ZeRO's first stage (Rajbhandari et al., arXiv 1910.02054): the others send it their
 * gradients and read the weight where it writes it.
 *
 * A matrix that is more than a replica's fair share is divided by rows: a kernel of four fifths of all weights would else leave the
 * other replicas waiting.
 */
import { ALIGNMENT_BYTES } from '../protocol/alignment.js';
import { elementCount } from '../protocol/message.js';
import type { RowRange, WeightShare } from '../protocol/stage-spec.js';
import type { TensorHeader } from '../protocol/tensor.js';
import type { ModelGraph } from './graph.js';
import type { CutModel } from './stages.js';
import type { PlacedWeight } from './ties.js';
import { stepsWeightsByElement, type TrainableWeight } from './trainable.js';

/** The shares of every weight, by `PlacedWeight.order`; those of one weight by ascending rows. */
export type WeightShares = ReadonlyMap<number, readonly WeightShare[]>;

/** Elements that are worth a share of their own: stepping fewer takes no longer than what goes with a share, some 50 µs. */
const LEAST_SHARE = 2 ** 15;

/**
 * What each weight costs its stepper beyond its elements, in elements: some 20 µs for taking a gradient, the optimizer's op and writing
 * the result, where a million elements take 1.2 ms. Without it one of two replicas of a transformer stepped the large kernels and the other
 * one 23 small weights, in 0.8 and 1.2 ms.
 */
const WEIGHT_OVERHEAD = 2 ** 14;

const ALIGNED_FLOATS = ALIGNMENT_BYTES / Float32Array.BYTES_PER_ELEMENT;

/**
 * Within each stage whole weights are shared out so that they take nearly equally long to step, and divided ones so that shares are of
 * nearly equal size.
 *
 * @param leastShare elements that a part of a divided weight has at the least
 */
export function shareWeights(
  { stages, weights, dividesWeights }: CutModel,
  replicas: number,
  leastShare = LEAST_SHARE,
): WeightShares {
  const shares = new Map<number, readonly WeightShare[]>();
  for (const { index } of stages) {
    const own = weights
      .filter(({ owner }) => owner.stage === index)
      .sort((a, b) => sizeOf(b) - sizeOf(a) || a.order - b.order);
    const fairShare = own.reduce((sum, weight) => sum + sizeOf(weight), 0) / replicas;
    const large = own.filter(
      weight =>
        dividesWeights && isDivisible(weight, weight.users.length === 0) && sizeOf(weight) > fairShare,
    );
    for (const [{ order }, parts] of shareOut(own, large, replicas, leastShare)) shares.set(order, parts);
  }
  return shares;
}

/** Matrices that the optimizer steps once, and that nothing but the calls of one copy of their layer reads. */
function isDivisible(
  { shape, positions }: Pick<TrainableWeight, 'shape' | 'positions'>,
  isLone: boolean,
): boolean {
  return shape.length === 2 && positions.length === 1 && isLone;
}

/** Whether replicas divide a weight of a model wherever it is more than a fair share of its stage. */
export function divisibilityIn(graph: ModelGraph): (weight: TrainableWeight) => boolean {
  const isDivided = stepsWeightsByElement(graph);
  // Several calls may come into several stages, each with a copy of the weight.
  const isLone = ({ places }: TrainableWeight): boolean =>
    places.length === 1 && graph.nodes.filter(({ layer }) => layer === places[0]!.layer).length === 1;
  return weight => isDivided && isDivisible(weight, isLone(weight)) && sizeOf(weight) >= 2 * LEAST_SHARE;
}

/**
 * Whole weights, the largest first, go each to whoever has least (Graham 1969: at most a third above the best sharing). Large ones
 * are divided so that they fill up what those leave uneven; one whose parts would be too small stays whole.
 *
 * @param own by descending size
 */
function shareOut(
  own: readonly PlacedWeight[],
  large: readonly PlacedWeight[],
  replicas: number,
  leastShare: number,
): ReadonlyMap<PlacedWeight, readonly WeightShare[]> {
  const shares = new Map<PlacedWeight, readonly WeightShare[]>();
  const loads = new Array<number>(replicas).fill(0);
  const costs = new Array<number>(replicas).fill(0);
  for (const weight of own.filter(each => !large.includes(each))) {
    const replica = costs.indexOf(Math.min(...costs));
    loads[replica]! += sizeOf(weight);
    costs[replica]! += costOf(weight);
    shares.set(weight, [{ replica, rows: undefined }]);
  }
  for (const weight of large) {
    const parts = divide(weight, loads, leastShare);
    if (parts.length < 2) {
      const others = large.filter(other => other !== weight);
      return shareOut(own, others, replicas, leastShare);
    }
    for (const { replica, rows } of parts) loads[replica]! += (rows.end - rows.begin) * weight.shape[1]!;
    shares.set(weight, parts);
  }
  return shares;
}

/**
 * Gives the rows of a weight to those who have least, so that all of them have the same then. Parts begin at aligned places, which
 * engines need to write them into shared memory.
 */
function divide(
  { shape }: PlacedWeight,
  loads: readonly number[],
  leastShare: number,
): readonly (WeightShare & { readonly rows: RowRange })[] {
  const [rowCount, rowSize] = shape as readonly [number, number];
  const byLoad = [...loads.keys()].sort((a, b) => loads[a]! - loads[b]!);
  const levelOf = (sharing: readonly number[]): number =>
    sharing.reduce((sum, replica) => sum + loads[replica]!, rowCount * rowSize) / sharing.length;
  // Whoever has most already may get nothing.
  let sharing = byLoad;
  while (sharing.length > 1 && levelOf(sharing) - loads[sharing.at(-1)!]! < leastShare) {
    sharing = sharing.slice(0, -1);
  }
  const level = levelOf(sharing);
  const ordered = [...sharing].sort((a, b) => a - b);
  const unit = alignedRows(rowSize);
  let given = 0;
  const inner = ordered.slice(0, -1).map(replica => {
    given += level - loads[replica]!;
    return Math.min(rowCount, unit * Math.round(given / (unit * rowSize)));
  });
  const ends = [...inner, rowCount];
  return ordered
    .map((replica, index) => ({ replica, rows: { begin: ends[index - 1] ?? 0, end: ends[index]! } }))
    .filter(({ rows }) => rows.end > rows.begin);
}

/** Every so many rows, one begins at an aligned place. */
function alignedRows(rowSize: number): number {
  let rows = 1;
  while ((rows * rowSize) % ALIGNED_FLOATS !== 0) rows *= 2;
  return rows;
}

/** What a replica steps of a stage's weights, in order. */
export function replicaMessage(
  { weights }: CutModel,
  stage: number,
  stepper: number,
  shares: WeightShares,
): readonly TensorHeader[] {
  return weights
    .filter(({ owner, frozen }) => owner.stage === stage && !frozen)
    .flatMap(({ order, shape }) =>
      shares
        .get(order)!
        .filter(({ replica }) => replica === stepper)
        .map(({ rows }): TensorHeader => {
          const own = rows === undefined ? shape : [rows.end - rows.begin, ...shape.slice(1)];
          return { dtype: 'float32', shape: own };
        }),
    );
}

/**
 * The most that another replica sends for weights that one steps, in order: for each a gradient, and two factors of one, which
 * together have fewer elements than what is stepped.
 */
export function replicaGradients(weights: readonly TensorHeader[]): readonly TensorHeader[] {
  const vector = (size: number): TensorHeader => ({ dtype: 'float32', shape: [size] });
  return weights.flatMap(weight => [
    weight,
    vector(elementCount(weight.shape)),
    // Each factor begins at an aligned place.
    vector(1),
  ]);
}

/** By stage, the replicas that step some of its weights. */
export function steppingReplicas(
  cut: CutModel,
  replicas: number,
  shares: WeightShares,
): readonly (readonly number[])[] {
  return cut.stages.map(({ index }) =>
    Array.from({ length: replicas }, (_, replica) => replica).filter(
      replica => replicaMessage(cut, index, replica, shares).length > 0,
    ),
  );
}

function costOf(weight: PlacedWeight): number {
  return weight.frozen ? 0 : sizeOf(weight) + WEIGHT_OVERHEAD;
}

/** Weights that stay as they are go to the replica that has least in any case. */
function sizeOf({ shape, frozen }: Pick<PlacedWeight, 'shape' | 'frozen'>): number {
  return frozen ? 0 : elementCount(shape);
}
