/**
 * Recording the TensorFlow ops that some function runs, as the nodes of a graph.
 *
 * The recorder stands between tfjs-node's backend and its addon, so that it sees every op, be it called by a fused kernel or
 * by tfjs. Tensors are followed by the addon's ids. One that the function makes of numbers becomes a constant, so the
 * function must make the same ones at every call; one that it neither makes nor is given cannot be followed, and is refused.
 */
import { MillraceError } from '../../../errors.js';
import type { Attribute, AttributeKinds } from '../raw-ops.js';
import type { AttributeValue, GraphNode } from './graph-def.js';

/** The members of the addon that are looked at. */
export interface RecordableBinding extends AttributeKinds {
  executeOp(
    op: string,
    attributes: readonly Attribute[],
    inputs: number[],
    outputCount: number,
  ): readonly { readonly id: number }[];
  createTensor(shape: number[], dtype: number, data: ArrayBufferView): number;
  tensorDataSync(id: number): ArrayBufferView;
}

const RECORDABLE = Symbol('recordable');

/** What is being recorded in this thread. */
let recording: Recording | undefined;

/** A function cannot be a graph: what it does depends on more than the shapes of its inputs. */
export class NotTraceableError extends MillraceError {
  constructor(reason: string) {
    super('MILLRACE_NOT_TRACEABLE', `This cannot become a TensorFlow graph: ${reason}.`);
  }
}

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
  body: () => T,
): { result: T; recording: Recording } {
  const own = new Recording(inputs);
  recording = own;
  try {
    return { result: body(), recording: own };
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

export class Recording {
  readonly #nodes: GraphNode[] = [];
  /** Where a tensor comes from, as `node:output`. */
  readonly #sources = new Map<number, string>();
  readonly #computed = new Set<number>();
  /** TensorFlow's types of the inputs by their places in the graph. */
  readonly #inputTypes = new Map<string, number>();

  constructor(inputs: readonly RecordedInput[]) {
    for (const [index, { id, type, shape }] of inputs.entries()) {
      this.#add(`input${index}`, 'Placeholder', [], {
        dtype: { kind: 'type', value: type },
        shape: { kind: 'shape', value: shape },
      });
      this.#sources.set(id, `input${index}:0`);
      this.#inputTypes.set(`input${index}:0`, type);
      this.#computed.add(id);
    }
  }

  get nodes(): readonly GraphNode[] {
    return this.#nodes;
  }

  /** Where the graph gives out a tensor, as `node:output`; an input that is given out again as it is needs a node of its own. */
  outputOf(id: number): string {
    const source = this.sourceOf(id);
    const type = this.#inputTypes.get(source);
    if (type === undefined) return source;
    const name = `n${this.#nodes.length}`;
    this.#add(name, 'Identity', [source], { T: { kind: 'type', value: type } });
    return `${name}:0`;
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
    outputs: readonly { readonly id: number }[],
  ): void {
    const name = `n${this.#nodes.length}`;
    this.#add(
      name,
      op,
      inputs.map(id => this.sourceOf(id)),
      Object.fromEntries(attributes.map(attribute => [attribute.name, attributeValue(kinds, attribute)])),
    );
    for (const [index, { id }] of outputs.entries()) {
      this.#sources.set(id, `${name}:${index}`);
      this.#computed.add(id);
    }
  }

  addConstant(id: number, shape: readonly number[], type: number, data: ArrayBufferView): void {
    const name = `n${this.#nodes.length}`;
    // A copy: the caller may go on writing.
    const content = new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
    this.#add(name, 'Const', [], {
      dtype: { kind: 'type', value: type },
      value: { kind: 'tensor', type, shape, content },
    });
    this.#sources.set(id, `${name}:0`);
  }

  #add(
    name: string,
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>>,
  ): void {
    this.#nodes.push({ name, op, inputs, attributes });
  }
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
