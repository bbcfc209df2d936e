/**
 * A recorded computation in the course of being written in other ops. Patterns are looked for among the nodes that were recorded; what is
 * put in their place is seen by nobody before `finish`.
 */
import type { AttributeValue, GraphNode } from '../graph-def.js';
import type { ValueType } from '../recording.js';

/** What a computation consists of, as it was recorded or in other ops. */
export interface Computation {
  readonly nodes: readonly GraphNode[];
  /** How many nodes there are at the end of each part. */
  readonly ends: readonly number[];
  /** Where the results of each part come from, as `node:output`. */
  readonly sources: readonly (readonly string[])[];
  /** Of what a node gives. */
  readonly typeOf: (source: string) => ValueType;
}

export class Rewriting {
  readonly #computation: Computation;
  readonly #nodes: GraphNode[];
  readonly #places: ReadonlyMap<string, number>;
  readonly #readers = new Map<string, GraphNode[]>();
  /** What was recorded, and what gives the same now. */
  readonly #instead = new Map<string, string>();
  readonly #types = new Map<string, ValueType>();
  /** What a node has to wait for that is one with others now. */
  readonly #joined = new Map<GraphNode, readonly string[]>();

  constructor(computation: Computation) {
    this.#computation = computation;
    this.#nodes = [...computation.nodes];
    this.#places = new Map(computation.nodes.map(({ name }, place) => [name, place]));
    for (const node of computation.nodes) {
      for (const source of new Set(node.inputs)) {
        this.#readers.set(source, [...(this.#readers.get(source) ?? []), node]);
      }
    }
  }

  nodesOf(op: string): GraphNode[] {
    return this.#computation.nodes.filter(node => node.op === op);
  }

  /** @returns the node that gives `source` as its first output, if it is of that op */
  maker(source: string, op: string): GraphNode | undefined {
    const node = this.#makerOf(source);
    return node.op === op && source.endsWith(':0') ? node : undefined;
  }

  /** Nodes of an op that read the first output of `node`. */
  readers(node: GraphNode, op: string): GraphNode[] {
    return (this.#readers.get(`${node.name}:0`) ?? []).filter(reader => reader.op === op);
  }

  typeOf(source: string): ValueType {
    return this.#computation.typeOf(source);
  }

  /** Whether `source` is made of what `node` gives, or would be: what one node gives is made of all that it reads. */
  isMadeOf(source: string, node: GraphNode): boolean {
    const seen = new Set<GraphNode>();
    const pending = [source];
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      const maker = this.#makerOf(next);
      if (maker === node) return true;
      if (seen.has(maker)) continue;
      seen.add(maker);
      pending.push(...maker.inputs, ...(this.#joined.get(maker) ?? []));
    }
    return false;
  }

  /** @returns the one number of single precision that `source` always is, if it is one */
  scalar(source: string): number | undefined {
    if (this.typeOf(source).type !== FLOAT) return undefined;
    const node = this.#makerOf(source);
    if (node.op === 'Cast' || node.op === 'Identity') return this.scalar(node.inputs[0]!);
    const value = node.attributes['value'];
    if (node.op !== 'Const' || value?.kind !== 'tensor') return undefined;
    const { content } = value;
    if (content.byteLength !== Float32Array.BYTES_PER_ELEMENT) return undefined;
    return new DataView(content.buffer, content.byteOffset).getFloat32(0, true);
  }

  /** @returns the whole numbers that `source` always is, if it is a constant of such */
  integers(source: string): number[] | undefined {
    const node = this.#makerOf(source);
    const value = node.attributes['value'];
    if (node.op !== 'Const' || value?.kind !== 'tensor' || this.typeOf(source).type !== INT32)
      return undefined;
    return [...new Int32Array(value.content.slice().buffer)];
  }

  /** Whether both are made in the same part, so that either may read what the other is made of. */
  areInOnePart(a: GraphNode, b: GraphNode): boolean {
    const [first, second] = [a, b].map(({ name }) =>
      this.#computation.ends.findIndex(end => this.#places.get(name)! < end),
    );
    return first === second;
  }

  /** Computes what a node gives by another op, from the same kinds of outputs. */
  replace(node: GraphNode, by: Omit<GraphNode, 'name'>): void {
    this.#nodes[this.#places.get(node.name)!] = { name: node.name, ...by };
  }

  /**
   * Puts a node in the place of the last of several, the first outputs of which its outputs are instead.
   *
   * @param outputs by output of the new node, the node that gave it
   */
  replaceAll(outputs: readonly GraphNode[], by: Omit<GraphNode, 'name'>): void {
    const place = Math.max(...outputs.map(({ name }) => this.#places.get(name)!));
    const name = `${this.#computation.nodes[place]!.name}_in_one`;
    this.#nodes[place] = { name, ...by };
    for (const [index, output] of outputs.entries()) {
      this.#joined.set(output, by.inputs);
      this.#instead.set(`${output.name}:0`, `${name}:${index}`);
      this.#types.set(`${name}:${index}`, this.typeOf(`${output.name}:0`));
    }
  }

  /** @returns `undefined` if nothing was replaced; what nobody reads any more is still among the nodes */
  finish(): Computation | undefined {
    const redirect = (source: string): string => this.#instead.get(source) ?? source;
    const { nodes, ends, sources } = this.#computation;
    if (this.#nodes.every((node, place) => node === nodes[place])) return undefined;
    return {
      nodes: this.#nodes.map(node => ({ ...node, inputs: node.inputs.map(redirect) })),
      ends,
      sources: sources.map(part => part.map(redirect)),
      typeOf: source => this.#types.get(source) ?? this.typeOf(source),
    };
  }

  #makerOf(source: string): GraphNode {
    return this.#computation.nodes[this.#places.get(source.slice(0, source.indexOf(':')))!]!;
  }
}

/** TensorFlow's `DataType`. */
export const FLOAT = 1;
const INT32 = 3;

export function isFlag(node: GraphNode, name: string): boolean {
  const attribute: AttributeValue | undefined = node.attributes[name];
  return attribute?.kind === 'bool' && attribute.value;
}
