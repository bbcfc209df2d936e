/** How far results are apart: what is allowed, and the largest that was met of each kind. */
import type * as tf from '@tensorflow/tfjs';
import type { Logs } from './oracle.js';
import type { CaseSpec, OptimizerKind } from './spec.js';

/** Kinds of results that are compared. Adaptive optimizers are held to their losses alone. */
export type Kind = 'loss' | 'metric' | 'weight' | 'update' | 'score' | 'output' | 'loss (adaptive)';

/** Bound on ‖actual − reference‖₂: relative to the reference, plus an absolute part for each element. */
interface Bound {
  readonly relative: number;
  readonly absolute: number;
}

const SUMS: Bound = { relative: 1e-5, absolute: 1e-6 };

const BOUNDS: Readonly<Record<Kind, Bound>> = {
  loss: SUMS,
  metric: SUMS,
  weight: SUMS,
  update: SUMS,
  score: SUMS,
  output: SUMS,
  'loss (adaptive)': { relative: 1e-3, absolute: 1e-4 },
};

/** Rounding of the weight itself at each step, which a small update does not get below. */
const WEIGHT_ROUNDING = 2 ** -23;

const ADAPTIVE: ReadonlySet<OptimizerKind> = new Set(['adam', 'rmsprop', 'adagrad', 'adadelta']);

/** The tally of models that were not compared to their end. */
export const TOO_SENSITIVE = 'too sensitive';

/** What was compared and how far it was apart, as data for a report. */
export interface Tally {
  readonly count: number;
  readonly largest: number;
}

/** A result that is further from plain tfjs's than its bound allows. */
export class ResultApart extends Error {
  readonly kind: Kind;
  readonly result: string;
  readonly apart: number;
  /** Position of the weight, where it is one: names inside nested models differ from model to model. */
  readonly weight: number | undefined;

  constructor(kind: Kind, result: string, apart: number, weight: number | undefined, message: string) {
    super(message);
    this.weight = weight;
    this.kind = kind;
    this.result = result;
    this.apart = apart;
  }
}

export class Differences {
  /** ‖actual − reference‖₂ / ‖reference‖₂ of what was compared; references below 1e-3 say nothing and are left out. */
  readonly #largest = new Map<Kind, number>();
  /** Results compared. */
  readonly #counts = new Map<Kind, number>();
  #tooSensitive = 0;

  get tallies(): Readonly<Record<string, Tally>> {
    const entries = [...this.#counts].map(([kind, count]): [Kind, Tally] => [
      kind,
      { count, largest: this.#largest.get(kind) ?? 0 },
    ]);
    const sensitive: [string, Tally][] =
      this.#tooSensitive === 0 ? [] : [[TOO_SENSITIVE, { count: this.#tooSensitive, largest: 0 }]];
    return Object.fromEntries([...entries, ...sensitive]);
  }

  /** Counts a model whose training plain tfjs itself does not repeat: see `sensitivity.ts`. */
  countTooSensitive(): void {
    this.#tooSensitive += 1;
  }

  expectHistory(actual: Logs, expected: Logs, { optimizer }: CaseSpec): void {
    const names = Object.keys(expected);
    if (names.join() !== Object.keys(actual).join()) {
      throw new Error(`logs are [${Object.keys(actual)}], plain ones [${names}]`);
    }
    const isAdaptive = ADAPTIVE.has(optimizer);
    for (const name of names) {
      const isLoss = name === 'loss' || name.endsWith('_loss');
      // A count of right answers jumps where an adaptive rule has moved a weight by a little.
      if (isAdaptive && !isLoss) continue;
      const kind = isAdaptive ? 'loss (adaptive)' : isLoss ? 'loss' : 'metric';
      this.#expect(kind, name, actual[name]!, expected[name]!);
    }
  }

  /** Weights, and what training added to them: an update shows an error that a large weight would hide. */
  expectWeights(
    actual: tf.LayersModel,
    expected: tf.LayersModel,
    first: readonly Float32Array[],
    { optimizer, data }: CaseSpec,
  ): void {
    if (ADAPTIVE.has(optimizer)) return;
    const steps = data.epochs * Math.ceil(data.sampleCount / data.batchSize);
    for (const [index, weight] of expected.weights.entries()) {
      const reference = (weight.read() as tf.Tensor).dataSync();
      const found = (actual.weights[index]!.read() as tf.Tensor).dataSync();
      const start = first[index]!;
      this.#expect('weight', weight.originalName, found, reference, 0, index);
      const rounding = WEIGHT_ROUNDING * steps * norm(start);
      this.#expect(
        'update',
        weight.originalName,
        minus(found, start),
        minus(reference, start),
        rounding,
        index,
      );
    }
  }

  expectTensors(kind: Kind, actual: readonly tf.Tensor[], expected: readonly tf.Tensor[]): void {
    const form = (tensors: readonly tf.Tensor[]): string =>
      tensors.map(({ dtype, shape }) => `${dtype}[${shape}]`).join(' ');
    if (form(actual) !== form(expected))
      throw new Error(`${kind}s are ${form(actual)}, plain ones ${form(expected)}`);
    for (const [index, tensor] of expected.entries()) {
      this.#expect(kind, `number ${index}`, actual[index]!.dataSync(), tensor.dataSync());
    }
  }

  #expect(
    kind: Kind,
    name: string,
    actual: ArrayLike<number>,
    reference: ArrayLike<number>,
    rounding = 0,
    weight?: number,
  ): void {
    const { relative, absolute } = BOUNDS[kind];
    const apart = distance(actual, reference);
    const size = norm(reference);
    if (!(apart <= relative * size + absolute * Math.sqrt(reference.length) + rounding)) {
      throw new ResultApart(
        kind,
        name,
        apart,
        weight,
        `${kind} '${name}' is [${shown(actual)}], plain tfjs has [${shown(reference)}]: ` +
          `${apart.toExponential(2)} apart at a size of ${size.toExponential(2)}`,
      );
    }
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1);
    if (size >= 1e-3 && apart > 0)
      this.#largest.set(kind, Math.max(this.#largest.get(kind) ?? 0, apart / size));
  }
}

export function distance(actual: ArrayLike<number>, reference: ArrayLike<number>): number {
  if (actual.length !== reference.length) return Number.POSITIVE_INFINITY;
  let sum = 0;
  for (let index = 0; index < reference.length; index++) {
    // The same NaN or infinity on both sides is equal.
    if (!Object.is(actual[index], reference[index])) sum += (actual[index]! - reference[index]!) ** 2;
  }
  return Math.sqrt(sum);
}

function norm(values: ArrayLike<number>): number {
  let sum = 0;
  for (let index = 0; index < values.length; index++)
    if (Number.isFinite(values[index])) sum += values[index]! ** 2;
  return Math.sqrt(sum);
}

function minus(a: ArrayLike<number>, b: ArrayLike<number>): number[] {
  return Array.from(a, (value, index) => value - b[index]!);
}

function shown(values: ArrayLike<number>): string {
  return `${Array.from(values).slice(0, 5).join(', ')}${values.length > 5 ? ' …' : ''}`;
}
