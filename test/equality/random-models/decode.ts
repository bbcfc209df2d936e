/**
 * Turns genes into a model. A gene names a kind of layer and points back at earlier values; what does not fit is left out,
 * so any list of genes gives a valid model, and a shorter list a smaller one.
 */
import * as tf from '@tensorflow/tfjs';
import { makeLayer } from './build.js';
import { drawOutput, type OutputGene } from './decode-output.js';
import { type Knobs, pick } from './knobs.js';
import { embedding, FAMILIES, type FamilyName, merges } from './layer-kinds.js';
import {
  type CallSpec,
  type InputSpec,
  type LayerSpec,
  type ModelSpec,
  type OutputSpec,
  type SampleShape,
  VOCABULARY,
} from './spec.js';

export interface Gene {
  readonly kind: FamilyName | 'merge' | 'again';
  /** Which earlier value, counted back from the latest. */
  readonly from: number;
  /** A second one, for merging. */
  readonly with: number;
  readonly knobs: Knobs;
}

export interface ModelGenes {
  readonly inputs: readonly number[];
  readonly steps: readonly Gene[];
  readonly outputs: readonly OutputGene[];
  /** How many of the first steps are frozen, whatever their own flag says. */
  readonly frozenPrefix: number;
}

/** Elements of a value per sample: enough for every layer, and quick to train on the cpu backend. */
const MAX_SIZE = 96;

/**
 * A mask that a merging layer made has a shape that no other layer takes (tfjs adds an axis in front), so what reads masks
 * must not get it.
 */
type Mask = 'none' | 'sound' | 'unusable';

interface Value {
  readonly name: string;
  readonly shape: SampleShape;
  readonly mask: Mask;
}

const INPUTS: readonly Omit<InputSpec, 'name'>[] = [
  { shape: [4], holds: 'numbers' },
  { shape: [4, 3], holds: 'numbers' },
  { shape: [5, 4, 2], holds: 'numbers' },
  { shape: [5], holds: 'tokens' },
  { shape: [5], holds: 'padded tokens' },
];

const PLAIN: Knobs = { a: 0, b: 0, c: 0, frozen: false, penalty: 0 };

export function decodeModel(genes: ModelGenes): ModelSpec {
  const decoder = new Decoder(genes.inputs);
  for (const [index, gene] of genes.steps.entries()) {
    const frozen = gene.knobs.frozen || index < genes.frozenPrefix;
    decoder.addStep({ ...gene, knobs: { ...gene.knobs, frozen } });
  }
  return decoder.finish(genes.outputs);
}

class Decoder {
  readonly #inputs: InputSpec[] = [];
  readonly #calls: CallSpec[] = [];
  readonly #values: Value[] = [];
  readonly #unread = new Set<string>();
  /** Calls whose layer may be called again, with the shape that it takes. */
  readonly #shared: { readonly name: string; readonly reads: SampleShape }[] = [];
  /** The first embedding of each kind of tokens; all inputs of that kind share it. */
  readonly #embeddings = new Map<InputSpec['holds'], string>();
  #maxSize = MAX_SIZE;

  constructor(inputs: readonly number[]) {
    for (const [index, kind] of inputs.entries()) {
      const input: InputSpec = { name: `x${index}`, ...pick(INPUTS, kind) };
      this.#inputs.push(input);
      const value: Value = { name: input.name, shape: input.shape, mask: 'none' };
      if (input.holds === 'numbers') this.#addValue(value);
      else this.#embed(value, input.holds);
    }
  }

  #embed(tokens: Value, holds: InputSpec['holds']): void {
    const spec = embedding({ ...PLAIN, a: 1 }, VOCABULARY, holds === 'padded tokens');
    const { name } = this.#add(spec, [tokens], this.#embeddings.get(holds))!;
    if (!this.#embeddings.has(holds)) this.#embeddings.set(holds, name);
  }

  addStep({ kind, from, with: second, knobs }: Gene): void {
    const source = this.#back(from);
    if (kind === 'merge') this.#merge(source, this.#back(second), knobs);
    else if (kind === 'again') this.#callAgain(source, second);
    else {
      const spec = FAMILIES[kind](source.shape, knobs);
      if (spec !== undefined) this.#add(spec, [source]);
    }
  }

  #back(distance: number): Value {
    return this.#values[this.#values.length - 1 - (distance % this.#values.length)]!;
  }

  /** Element by element where the shapes agree, else side by side, flattened first where they must be. */
  #merge(left: Value, right: Value, { a, b }: Knobs): void {
    if (left.name === right.name || (left.mask === 'none') !== (right.mask === 'none')) return;
    if (left.mask === 'unusable' || right.mask === 'unusable') return;
    if (tf.util.arraysEqual([...left.shape], [...right.shape]) && b % 3 !== 2) {
      this.#add({ layer: pick(merges, a), config: {} }, [left, right]);
      return;
    }
    const axis =
      left.shape.length === right.shape.length ? concatenationAxis(left.shape, right.shape) : undefined;
    if (axis !== undefined) {
      this.#add({ layer: 'concatenate', config: { axis } }, [left, right]);
      return;
    }
    const flat = [left, right].map(value => this.#flattened(value));
    if (flat[0] !== undefined && flat[1] !== undefined)
      this.#add({ layer: 'concatenate', config: {} }, [flat[0], flat[1]]);
  }

  #flattened(value: Value): Value | undefined {
    return value.shape.length === 1 ? value : this.#add({ layer: 'flatten', config: {} }, [value]);
  }

  #callAgain(source: Value, which: number): void {
    const fitting = this.#shared.filter(({ reads }) => tf.util.arraysEqual([...reads], [...source.shape]));
    if (fitting.length === 0) return;
    const { name } = pick(fitting, which);
    const spec = this.#specOf(name);
    this.#add(spec, [source], name);
  }

  #specOf(name: string): LayerSpec {
    const { make } = this.#calls.find(call => call.name === name)!;
    return 'again' in make ? this.#specOf(make.again) : make;
  }

  /** Adds a call and returns its value, or nothing where the layer does not take such inputs. */
  #add(spec: LayerSpec, of: readonly Value[], again?: string): Value | undefined {
    const [first] = of;
    const readsMask = READS_MASK.has(spec.layer);
    if (first!.mask === 'unusable' && readsMask) return undefined;
    if (first!.mask !== 'none' && REFUSES_MASK.has(spec.layer)) return undefined;
    // tfjs has no gradient for what finds the masked steps.
    if (spec.layer === 'masking' && !this.#inputs.some(({ name }) => name === first!.name)) return undefined;
    const made = tryLayer(
      spec,
      of.map(({ shape }) => shape),
    );
    if (made === undefined || sizeOf(made.shape) > this.#maxSize) return undefined;
    const name = `v${this.#calls.length}`;
    const make = again === undefined ? spec : { again };
    this.#calls.push({ name, of: of.map(value => value.name), make, masked: first!.mask !== 'none' });
    for (const value of of) this.#unread.delete(value.name);
    const value = { name, shape: made.shape, mask: maskAfter(spec, of, made.supportsMasking) };
    this.#addValue(value);
    if (again === undefined && of.length === 1 && spec.layer !== 'embedding' && isShareable(spec)) {
      this.#shared.push({ name, reads: first!.shape });
    }
    return value;
  }

  #addValue(value: Value): void {
    this.#values.push(value);
    this.#unread.add(value.name);
  }

  /** Gives every value a reader: the first outputs take one loose end each, the last one all that are left. */
  finish(genes: readonly OutputGene[]): ModelSpec {
    // What is left over must find a reader, however much it is.
    this.#maxSize = Number.POSITIVE_INFINITY;
    const loose = this.#values.filter(({ name }) => this.#unread.has(name));
    const heads = genes.map((_, index) => loose[index] ?? this.#values[this.#values.length - 1]!);
    const rest = loose.slice(genes.length);
    const outputs = genes.map((gene, index): OutputSpec => {
      let value = heads[index]!;
      if (index === genes.length - 1 && rest.length > 0) value = this.#joined([value, ...rest]);
      const wanted = drawOutput(gene, value.shape);
      const source = wanted.flat && value.shape.length > 1 ? this.#flattened(value)! : value;
      const made = this.#add(wanted.layer, [source])!;
      return { ...wanted.output, value: made.name, shape: made.shape };
    });
    return { inputs: this.#inputs, calls: this.#calls, outputs };
  }

  #joined(values: readonly Value[]): Value {
    const flat = values.map(value => this.#flattened(value)!);
    // A value with a mask beside one without: masks end where a value is flattened, and vectors here have none.
    return this.#add({ layer: 'concatenate', config: {} }, flat)!;
  }
}

/** Layers that compute with the mask that they are given. */
const READS_MASK = new Set(['simpleRNN', 'lstm', 'gru', 'rnn', 'bidirectional', 'concatenate', ...merges]);
/** Masks follow rules of their own inside nested models; softmax wants one that has the shape of its input. */
const REFUSES_MASK = new Set(['model', 'softmax']);
/** Layers that draw numbers or keep statistics call by call: the order of two calls would matter. */
const ONE_CALL = new Set([
  'batchNormalization',
  'dropout',
  'gaussianNoise',
  'gaussianDropout',
  'alphaDropout',
  'spatialDropout1d',
]);

function isShareable({ layer, config, inner }: LayerSpec): boolean {
  if (ONE_CALL.has(layer) || config['dropout'] !== undefined || config['recurrentDropout'] !== undefined)
    return false;
  return inner === undefined || inner.every(isShareable);
}

function maskAfter(spec: LayerSpec, of: readonly Value[], supportsMasking: boolean): Mask {
  if (spec.config['maskZero'] === true || spec.layer === 'masking') return 'sound';
  const [{ mask }] = of as [Value];
  if (mask === 'none' || !supportsMasking) return 'none';
  if ((merges as readonly string[]).includes(spec.layer)) return 'unusable';
  const last = spec.layer === 'bidirectional' ? spec.inner![0]! : spec;
  const isRecurrent = READS_MASK.has(last.layer) && last.layer !== 'concatenate';
  return isRecurrent && last.config['returnSequences'] !== true ? 'none' : mask;
}

/** The axis on which two shapes of one rank differ, the last one if nowhere; `undefined` where they differ twice. */
function concatenationAxis(left: SampleShape, right: SampleShape): number | undefined {
  const different = left.flatMap((size, axis) => (size === right[axis] ? [] : [axis + 1]));
  if (different.length > 1) return undefined;
  return different[0] ?? left.length;
}

function sizeOf(shape: SampleShape): number {
  return shape.reduce((product, axis) => product * axis, 1);
}

/** What tfjs itself says about the layer's output; `undefined` where it refuses, or for ranks that are of no use here. */
function tryLayer(
  spec: LayerSpec,
  shapes: readonly SampleShape[],
): { readonly shape: SampleShape; readonly supportsMasking: boolean } | undefined {
  try {
    const layer = makeLayer(spec, shapes[0]!);
    const batched = shapes.map(shape => [null, ...shape]);
    const computed = layer.computeOutputShape(batched.length === 1 ? batched[0]! : batched) as (
      | number
      | null
    )[];
    const shape = computed.slice(1) as number[];
    const isUsable = shape.length >= 1 && shape.length <= 3 && shape.every(axis => axis >= 1);
    return isUsable ? { shape, supportsMasking: layer.supportsMasking } : undefined;
  } catch {
    return undefined;
  }
}
