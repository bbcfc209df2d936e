/**
 * Computations in parts as TensorFlow graphs, one a part.
 *
 * The whole computation is recorded as one list of nodes, and each part takes those that it added. What it reads of earlier
 * parts becomes a further output there and an input here; constants are in each graph that reads them.
 */
import { createHash } from 'node:crypto';
import { BackendError } from '../../../errors.js';
import { tf } from '../../../tf.js';
import { type GraphPart, NotTraceableError, type RecordParts } from '../../graph-parts.js';
import { markSlotFree } from '../../slot-free.js';
import { areAlike, isFaithful } from './differences.js';
import { describeInputs, Graph, type GraphBackend, graphBackend, handleOf } from './graph.js';
import { encodeSavedModel, type GraphNode } from './graph-def.js';
import { shelfByBackend } from './least-recently-used.js';
import { warnOfMissingGraphs } from './missing-graphs.js';
import { passedOn, placeholder, type Recording, record } from './recording.js';
import { type Computation, rewritten } from './rewrites/index.js';
import { mayShareGivenMemory } from './shared-memory.js';

/** Graphs of parts that a worker keeps loaded; layers that compute alike share theirs. One that made room is loaded again. */
const MOST_PART_GRAPHS = 512;

export const recordParts: RecordParts = (name, given, begin) => {
  try {
    return recorded(name, given, begin);
  } catch (error) {
    // Who gave a name says what is amiss with it.
    if (name !== undefined || !(error instanceof BackendError)) throw error;
    warnOfMissingGraphs(error);
    return undefined;
  }
};

const recorded: RecordParts = (name, given, begin) => {
  let parts: readonly GraphPart[] | undefined;
  tf.tidy(() => {
    const backend = graphBackend();
    // Handles of their own: the same tensor given twice is two inputs. Variables are read by whoever holds them.
    const handles = given.map(tensor => (tensor instanceof tf.Variable ? tensor : handleOf(tensor)));
    const first = recordWhole(backend, handles, begin);
    const whole = recordWhole(backend, handles, begin);
    if (!Buffer.from(encodeSavedModel(first.nodes)).equals(encodeSavedModel(whole.nodes))) {
      throw new NotTraceableError('it does not compute the same at every call');
    }
    const partsOf = (computation: Computation): readonly GraphPart[] =>
      divide(whole.recording.inputs, computation).map(part => runnable(backend, part));
    const computation = computationOf(whole);
    const inOtherOps = rewritten(computation);
    if (inOtherOps !== undefined) parts = faithful(undefined, partsOf(inOtherOps), given, whole.results);
    parts ??= faithful(name, partsOf(computation), given, whole.results);
  });
  return parts;
};

/** The parts, if they compute what was recorded; without a name nobody is told if they do not, nor if TensorFlow does not take them. */
function faithful(
  name: string | undefined,
  parts: readonly GraphPart[],
  given: readonly tf.Tensor[],
  results: WholeRecording['results'],
): readonly GraphPart[] | undefined {
  try {
    return isFaithful(name, () => computeAlike(parts, given, results)) ? parts : undefined;
  } catch (error) {
    if (name === undefined && error instanceof NotTraceableError) return undefined;
    throw error;
  }
}

interface WholeRecording {
  readonly recording: Recording;
  readonly nodes: readonly GraphNode[];
  /** How many nodes there are at the end of each part. */
  readonly ends: readonly number[];
  readonly results: readonly (readonly tf.Tensor[])[];
  /** Where the results of each part come from, as `node:output`. */
  readonly sources: readonly (readonly string[])[];
}

function recordWhole(
  backend: GraphBackend,
  given: readonly tf.Tensor[],
  begin: Parameters<RecordParts>[2],
): WholeRecording {
  const ends: number[] = [];
  const sources: string[][] = [];
  const { result: results, recording } = record(describeInputs(backend, given), ownRecording =>
    begin(given).map(part => {
      const result = part();
      // While it is recorded: what was made of numbers goes to TensorFlow when its id is asked for.
      sources.push(backend.getInputTensorIds(result).map(id => ownRecording.sourceOf(id)));
      ends.push(ownRecording.nodes.length);
      return result;
    }),
  );
  return { recording, nodes: recording.nodes, ends, results, sources };
}

/** The nodes of one graph, and what it exchanges with the others. */
interface Division {
  readonly nodes: readonly GraphNode[];
  readonly reads: readonly number[];
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Places of results that read no memory that was given. */
  readonly slotFree: readonly number[];
}

function computationOf({ recording, nodes, ends, sources }: WholeRecording): Computation {
  return { nodes, ends, sources, typeOf: source => recording.typeOf(source) };
}

function divide(given: readonly string[], { nodes, ends, sources, typeOf }: Computation): Division[] {
  const places = new Map(nodes.map((node, index) => [node.name, index]));
  const placeOf = (source: string): number => places.get(source.slice(0, source.indexOf(':')))!;
  const partOf = (place: number): number => (place < given.length ? -1 : ends.findIndex(end => place < end));
  /** What later parts read of each. */
  const carried = ends.map((): string[] => []);
  const collected = ends.map((): { own: Set<number>; reads: string[] } => ({ own: new Set(), reads: [] }));
  for (let part = ends.length - 1; part >= 0; part--) {
    const { own, reads } = collected[part]!;
    const pending = [...sources[part]!, ...carried[part]!];
    for (let source = pending.pop(); source !== undefined; source = pending.pop()) {
      const place = placeOf(source);
      const maker = partOf(place);
      const isConstant = nodes[place]!.op === 'Const';
      if (maker === part || isConstant) {
        if (own.has(place)) continue;
        own.add(place);
        pending.push(...nodes[place]!.inputs);
      } else if (!reads.includes(source)) {
        reads.push(source);
        if (maker >= 0 && !carried[maker]!.includes(source)) carried[maker]!.push(source);
      }
    }
  }
  const numbers = [...given];
  const mayShare = mayShareGivenMemory(nodes);
  return collected.map(({ own, reads }, part): Division => {
    const isMade = (source: string): boolean =>
      own.has(placeOf(source)) && nodes[placeOf(source)]!.op !== 'Const';
    const passed: GraphNode[] = [];
    // What a part only hands on, and constants, need a node of their own to come out of.
    const outputs = [...sources[part]!, ...carried[part]!].map(source => {
      if (isMade(source)) return source;
      const name = `result${passed.length}`;
      const { type } = typeOf(source);
      passed.push(passedOn(name, source, type));
      return `${name}:0`;
    });
    const inputs = reads.map((_, index) => `read${index}:0`);
    const renamed = new Map(reads.map((source, index) => [source, inputs[index]!]));
    const rename = (node: GraphNode): GraphNode => ({
      ...node,
      inputs: node.inputs.map(source => renamed.get(source) ?? source),
    });
    const division = {
      nodes: [
        ...reads.map((source, index) => placeholder(`read${index}`, typeOf(source))),
        ...[...own].sort((a, b) => a - b).map(place => rename(nodes[place]!)),
        ...passed.map(rename),
      ],
      reads: reads.map(source => numbers.indexOf(source)),
      inputs,
      outputs,
      slotFree: sources[part]!.flatMap((source, place) => (mayShare(source) ? [] : [place])),
    };
    // Results have no names by which later parts find them: what is read of them is carried too.
    numbers.push(...sources[part]!.map(() => ''), ...carried[part]!);
    return division;
  });
}

const graphsOf = shelfByBackend<Graph>(MOST_PART_GRAPHS);

function runnable(backend: GraphBackend, { nodes, reads, inputs, outputs, slotFree }: Division): GraphPart {
  if (outputs.length === 0) return { reads, run: () => [] };
  const key = createHash('sha256').update(encodeSavedModel(nodes)).update(outputs.join()).digest('hex');
  const make = (): Graph => new Graph(backend, nodes, inputs, outputs);
  return {
    reads,
    run(values) {
      const results = graphsOf(backend).get(key, make).run(values);
      for (const place of slotFree) markSlotFree(results[place]!);
      return results;
    },
  };
}

function computeAlike(
  parts: readonly GraphPart[],
  given: readonly tf.Tensor[],
  expected: readonly (readonly tf.Tensor[])[],
): boolean {
  const values = [...given];
  return parts.every((part, index) => {
    const outputs = part.run(part.reads.map(number => values[number]!));
    values.push(...outputs);
    return areAlike(outputs, expected[index]!);
  });
}
