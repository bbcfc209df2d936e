/**
 * Recording the TensorFlow ops that some function runs, as the nodes of a graph.
 *
 * The recorder stands between tfjs-node's backend and its addon, so that it sees every op, be it called by a fused kernel or
 * by tfjs. Tensors are followed by the addon's ids. One that the function makes of numbers becomes a constant, so the
 * function must make the same ones at every call; one that it neither makes nor is given cannot be followed, and is refused.
 */
import { NotTraceableError } from '../../graph-parts.js';
import type { Attribute, AttributeKinds } from '../raw-ops.js';
import type { AttributeValue, GraphNode } from './graph-def.js';

/** The members of the addon that are looked at. */
export interface RecordableBinding extends AttributeKinds {
  executeOp(
    op: string,
    attributes: readonly Attribute[],
    inputs: number[],
    outputCount: number,
  ): readonly OpOutput[];
  createTensor(shape: number[], dtype: number, data: ArrayBufferView): number;
  tensorDataSync(id: number): ArrayBufferView;
}

/** A tensor as the addon gives it. */
interface OpOutput {
  readonly id: number;
  readonly dtype: number;
  readonly shape: readonly number[];
}

const RECORDABLE = Symbol('recordable');

/** What is being recorded in this thread. */
let recording: Recording | undefined;

/** A binding like `real` that can be recorded; `real` itself if it can. */
export function recordable<Binding extends RecordableBinding>(real: Binding): Binding {
  if (RECORDABLE in real) return real;
  const recorded = Object.create(real) as Binding;
  Object.defineProperties(recorded, {
    [RECORDABLE]: { value: true },
    executeOp: {
      value: (op: string, attributes: readonly Attribute[], inputs: number[], outputCount: number) => {
        const outputs = real.executeOp(op, attributes, inputs, outputCount);
        recording?.addOp(real, op, attributes, inputs, outputs);
        return outputs;
      },
    },
    createTensor: {
      value: (shape: number[], type: number, data: ArrayBufferView) => {
        const id = real.createTensor(shape, type, data);
        recording?.addConstant(id, shape, type, data);
        return id;
      },
    },
    tensorDataSync: {
      value: (id: number) => {
        if (recording?.isComputed(id) === true) throw new NotTraceableError('it reads values in the middle');
        return real.tensorDataSync(id);
      },
    },
  });
  return recorded;
}

/** Runs `body` and records its ops. */
export function record<T>(
  inputs: readonly RecordedInput[],
  body: (recording: Recording) => T,
): { result: T; recording: Recording } {
  const own = new Recording(inputs);
  recording = own;
  try {
    return { result: body(own), recording: own };
  } finally {
    recording = undefined;
  }
}

export function isRecording(): boolean {
  return recording !== undefined;
}

export interface RecordedInput {
  readonly id: number;
  /** TensorFlow's `DataType`. */
  readonly type: number;
  readonly shape: readonly number[];
}

/** TensorFlow's `DataType` and shape of what an output of a node gives. */
export interface ValueType {
  readonly type: number;
  readonly shape: readonly number[];
}

/** Ops whose outputs do not follow from the shapes and values of their inputs, or have shapes that follow from values. */
const UNFIT_OPS =
  /^(Random|StatelessRandom|TruncatedNormal|Multinomial|Where$|Unique|NonMaxSuppression|Sparse|ListDiff)/;

/**
 * Attributes that tfjs-node leaves out, since TensorFlow takes them from the inputs of an op that is called by itself; in a graph
 * each must stand. By op, the input of which each is the type.
 */
const INFERRED_TYPES: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  ExpandDims: { T: 0, Tdim: 1 },
};

export class Recording {
  readonly #nodes: GraphNode[] = [];
  /** Where a tensor comes from, as `node:output`. */
  readonly #sources = new Map<number, string>();
  readonly #computed = new Set<number>();
  readonly #types = new Map<string, ValueType>();
  /** Where the graph takes its inputs, as `node:output`. */
  readonly inputs: readonly string[];

  constructor(inputs: readonly RecordedInput[]) {
    this.inputs = inputs.map(({ id, ...type }, index) => {
      const source = `input${index}:0`;
      this.#nodes.push(placeholder(`input${index}`, type));
      this.#sources.set(id, source);
      this.#types.set(source, type);
      this.#computed.add(id);
      return source;
    });
  }

  get nodes(): readonly GraphNode[] {
    return this.#nodes;
  }

  /** Of an input, or of what an op gave. */
  typeOf(source: string): ValueType {
    return this.#types.get(source)!;
  }

  /** Where the graph gives out a tensor, as `node:output`; an input that is given out again as it is needs a node of its own. */
  outputOf(id: number): string {
    const source = this.sourceOf(id);
    if (!this.inputs.includes(source)) return source;
    const { type } = this.typeOf(source);
    const node = passedOn(`n${this.#nodes.length}`, source, type);
    this.#nodes.push(node);
    return `${node.name}:0`;
  }

  sourceOf(id: number): string {
    const source = this.#sources.get(id);
    if (source === undefined) throw new NotTraceableError('it uses a tensor that was not given to it');
    return source;
  }

  isComputed(id: number): boolean {
    return this.#computed.has(id);
  }

  addOp(
    kinds: AttributeKinds,
    op: string,
    attributes: readonly Attribute[],
    inputs: readonly number[],
    outputs: readonly OpOutput[],
  ): void {
    if (UNFIT_OPS.test(op)) {
      throw new NotTraceableError(`what the operation '${op}' gives may have another shape at every call`);
    }
    const sources = inputs.map(id => this.sourceOf(id));
    const given = attributes.map(attribute => [attribute.name, attributeValue(kinds, attribute)] as const);
    const inferred = Object.entries(INFERRED_TYPES[op] ?? {}).map(
      ([name, input]) => [name, { kind: 'type', value: this.typeOf(sources[input]!).type }] as const,
    );
    const name = this.#add(op, sources, Object.fromEntries([...inferred, ...given]));
    for (const [index, { id, dtype, shape }] of outputs.entries()) {
      this.#sources.set(id, `${name}:${index}`);
      this.#types.set(`${name}:${index}`, { type: dtype, shape });
      this.#computed.add(id);
    }
  }

  addConstant(id: number, shape: readonly number[], type: number, data: ArrayBufferView): void {
    // A copy: the caller may go on writing.
    const content = new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
    const name = this.#add('Const', [], {
      dtype: { kind: 'type', value: type },
      value: { kind: 'tensor', type, shape, content },
    });
    this.#sources.set(id, `${name}:0`);
    this.#types.set(`${name}:0`, { type, shape });
  }

  #add(op: string, inputs: readonly string[], attributes: Readonly<Record<string, AttributeValue>>): string {
    const name = `n${this.#nodes.length}`;
    this.#nodes.push({ name, op, inputs, attributes });
    return name;
  }
}

/** A node that hands on what another one gives, or what the graph is given. */
export function passedOn(name: string, source: string, type: number): GraphNode {
  return { name, op: 'Identity', inputs: [source], attributes: { T: { kind: 'type', value: type } } };
}

/** A node through which a graph is given a tensor. */
export function placeholder(name: string, { type, shape }: ValueType): GraphNode {
  return {
    name,
    op: 'Placeholder',
    inputs: [],
    attributes: { dtype: { kind: 'type', value: type }, shape: { kind: 'shape', value: shape } },
  };
}

function attributeValue(kinds: AttributeKinds, { name, type, value }: Attribute): AttributeValue {
  const isList = Array.isArray(value);
  switch (type) {
    case kinds.TF_ATTR_TYPE:
      return { kind: 'type', value: value as number };
    case kinds.TF_ATTR_INT:
      return isList ? { kind: 'ints', value } : { kind: 'int', value: value as number };
    case kinds.TF_ATTR_BOOL:
      return isList ? { kind: 'bools', value } : { kind: 'bool', value: value as boolean };
    case kinds.TF_ATTR_FLOAT:
      return isList ? { kind: 'floats', value } : { kind: 'float', value: value as number };
    case kinds.TF_ATTR_STRING:
      return { kind: 'string', value: value as string };
    case kinds.TF_ATTR_SHAPE:
      return { kind: 'shape', value: value as readonly number[] };
    default:
      throw new NotTraceableError(`the attribute '${name}' is of an unknown kind`);
  }
}
