/** Which neighbouring calls of layers run as one graph. */
import { leavingValues, type NodeSpec, type StageSpec } from '../../protocol/stage-spec.js';

/** Calls `first` to `end` − 1 of a stage. */
export interface Span {
  readonly first: number;
  readonly end: number;
  /** Values that it reads of others. */
  readonly inputs: readonly number[];
  /** The one value that others read of it. */
  readonly output: number;
}

/** A graph of so many calls at the most. */
const MOST_CALLS = 64;

/** A graph of fewer costs what it saves. */
const LEAST_CALLS = 2;

/** What must be known of a stage. */
type Calls = Pick<StageSpec, 'nodes' | 'outgoing' | 'ownedOutputs'>;

/**
 * The longest stretches of calls that can be graphs and out of which one value comes, from the first call on.
 *
 * @param isTraceable whether a call, by its place among the stage's nodes, can be part of a graph
 * @param pairs calls that are made as one
 */
export function findSpans(
  calls: Calls,
  isTraceable: (node: number) => boolean,
  pairs: ReadonlyMap<number, number>,
): Span[] {
  const { nodes } = calls;
  const leaving = leavingValues(calls);
  const lastReader = new Map<number, number>();
  for (const [node, { inputs }] of nodes.entries()) for (const value of inputs) lastReader.set(value, node);
  const callsOf = new Map<number, number>();
  for (const { layer } of nodes) callsOf.set(layer, (callsOf.get(layer) ?? 0) + 1);
  // A weight that is used twice has a gradient of several parts.
  const mayBeIn = (node: number): boolean =>
    node < nodes.length && callsOf.get(nodes[node]!.layer) === 1 && isTraceable(node);
  const outputsOf = (first: number, end: number): number[] =>
    nodes
      .slice(first, end)
      .flatMap(({ outputs }) => outputs)
      .filter(value => leaving.has(value) || lastReader.get(value)! >= end);
  const partsPair = (first: number, end: number): boolean =>
    [...pairs].some(pair => {
      const inside = pair.filter(node => node >= first && node < end);
      return inside.length === 1;
    });
  const spans: Span[] = [];
  for (let first = 0; first < nodes.length; ) {
    let last = first;
    while (last - first < MOST_CALLS && mayBeIn(last)) last += 1;
    let end = last;
    while (end - first >= LEAST_CALLS && (outputsOf(first, end).length !== 1 || partsPair(first, end))) {
      end -= 1;
    }
    if (end - first < LEAST_CALLS) {
      first += 1;
      continue;
    }
    const inside = nodes.slice(first, end);
    spans.push({ first, end, inputs: inputsOf(inside), output: outputsOf(first, end)[0]! });
    first = end;
  }
  return spans;
}

function inputsOf(nodes: readonly NodeSpec[]): number[] {
  const made = new Set(nodes.flatMap(({ outputs }) => outputs));
  return [...new Set(nodes.flatMap(({ inputs }) => inputs).filter(value => !made.has(value)))];
}
