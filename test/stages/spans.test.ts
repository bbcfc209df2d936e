/** Which stretches of a stage's calls become graphs. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { NodeSpec } from '#internal/protocol/stage-spec.js';
import { findSpans, type Span } from '#internal/stages/tracing/index.js';

interface Case {
  readonly nodes: readonly NodeSpec[];
  readonly leaving: readonly number[];
  readonly traceable: readonly boolean[];
  readonly pairs: ReadonlyMap<number, number>;
}

/** Value 0 comes from outside; node n makes value n + 1. */
const chain = (layers: readonly number[]): NodeSpec[] =>
  layers.map((layer, node) => ({ layer, inputs: [node], outputs: [node + 1] }));

const spansOf = ({ nodes, leaving, traceable, pairs }: Case): Span[] =>
  findSpans(
    {
      nodes,
      outgoing: [],
      ownedOutputs: leaving.map((value, output) => ({ value, output })),
    },
    node => traceable[node]!,
    pairs,
  );

const ofChain = (traceable: readonly boolean[], parts: Partial<Case> = {}): number[][] => {
  const nodes = chain(traceable.map((_, node) => node));
  return spansOf({ nodes, leaving: [nodes.length], traceable, pairs: new Map(), ...parts }).map(
    ({ first, end }) => [first, end],
  );
};

const cases: fc.Arbitrary<Case> = fc.integer({ min: 1, max: 12 }).chain(count =>
  fc.record({
    // Mostly of the values just before, as in real models.
    nodes: fc.tuple(
      ...Array.from({ length: count }, (_, node) =>
        fc.record({
          layer: fc.oneof({ weight: 5, arbitrary: fc.constant(node) }, fc.integer({ min: 0, max: node })),
          inputs: fc.uniqueArray(
            fc.oneof(fc.constant(node), fc.integer({ min: Math.max(0, node - 3), max: node })),
            { minLength: 1, maxLength: 2 },
          ),
          outputs: fc.constant([node + 1]),
        }),
      ),
    ),
    leaving: fc.uniqueArray(fc.integer({ min: 1, max: count }), { minLength: 1, maxLength: 2 }),
    traceable: fc.array(
      fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
      { minLength: count, maxLength: count },
    ),
    pairs: fc
      .uniqueArray(fc.integer({ min: 0, max: count - 1 }), { maxLength: 3 })
      .map(nodes => new Map(nodes.filter(node => node + 1 < count).map(node => [node, node + 1]))),
  }),
);

/** Whether calls `first` to `end` − 1 can be one graph, said in another way than in the code. */
function canBeGraph({ nodes, leaving, traceable, pairs }: Case, first: number, end: number): boolean {
  const isInside = (node: number): boolean => node >= first && node < end;
  const inside = nodes.filter((_, node) => isInside(node));
  const readOutside = nodes.flatMap(({ inputs }, node) => (isInside(node) ? [] : inputs));
  const given = new Set([...readOutside, ...leaving]);
  return (
    inside.every(({ layer }, index) => traceable[first + index] && usesOf(nodes, layer) === 1) &&
    inside.flatMap(({ outputs }) => outputs).filter(value => given.has(value)).length === 1 &&
    [...pairs].every(([one, other]) => isInside(one) === isInside(other))
  );
}

const usesOf = (nodes: readonly NodeSpec[], layer: number): number =>
  nodes.filter(node => node.layer === layer).length;

describe('stretches of calls that become graphs', () => {
  it('are whole chains of what can be one', () => {
    expect(ofChain([true, true, true])).toEqual([[0, 3]]);
    expect(ofChain([true, true, false, true, true, true])).toEqual([
      [0, 2],
      [3, 6],
    ]);
  });

  it('are of two calls at the least', () => {
    expect(ofChain([true])).toEqual([]);
    expect(ofChain([true, false, true, false])).toEqual([]);
  });

  it('end where more than one value would come out', () => {
    // The sum at the end reads what the second call makes, too.
    const nodes = chain([0, 1, 2, 3]);
    const residual = [...nodes.slice(0, 3), { ...nodes[3]!, inputs: [3, 2] }];
    const traceable = [true, true, true, true];
    expect(spansOf({ nodes: residual, leaving: [4], traceable, pairs: new Map() })).toEqual([
      { first: 0, end: 4, inputs: [0], output: 4 },
    ]);
    expect(ofChain([true, true, true, false], { nodes: residual, leaving: [4] })).toEqual([[0, 2]]);
    expect(ofChain([true, true, true], { leaving: [1, 3] })).toEqual([[1, 3]]);
  });

  it('hold a layer once, and no part of what is called as one', () => {
    expect(ofChain([true, true, true, true], { nodes: chain([0, 1, 0, 2]) })).toEqual([]);
    expect(ofChain([true, true, true, false], { pairs: new Map([[2, 3]]) })).toEqual([[0, 2]]);
    expect(ofChain([false, true, true, true], { pairs: new Map([[0, 1]]) })).toEqual([[2, 4]]);
  });

  it('are what can be a graph, apart from each other, and as long as they can be', () => {
    fc.assert(
      fc.property(cases, one => {
        const spans = spansOf(one);
        let free = 0;
        for (const { first, end, inputs, output } of spans) {
          expect(first).toBeGreaterThanOrEqual(free);
          expect(canBeGraph(one, first, end)).toBe(true);
          const inside = one.nodes.slice(first, end);
          const made = inside.flatMap(({ outputs }) => outputs);
          expect(made).toContain(output);
          const read = inside.flatMap(node => node.inputs).filter(value => !made.includes(value));
          expect(inputs).toEqual([...new Set(read)]);
          for (let longer = end + 1; longer <= one.nodes.length; longer++) {
            expect(canBeGraph(one, first, longer)).toBe(false);
          }
          free = end;
        }
        // Nothing that could be a graph lies between.
        const bounds = [0, ...spans.flatMap(({ first, end }) => [first, end]), one.nodes.length];
        for (let gap = 0; gap < bounds.length; gap += 2) {
          const [from, to] = [bounds[gap]!, bounds[gap + 1]!];
          for (let first = from; first < to; first++) {
            for (let end = first + 2; end <= to; end++) expect(canBeGraph(one, first, end)).toBe(false);
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});
