/**
 * Functions of tensors that run as one TensorFlow graph each, whatever number of ops they are made of.
 *
 * An op that is called by itself costs about 10 µs beyond its mathematics when calls come fast, and 25 in training; inside a
 * graph it costs 2, its buffers are reused in place, and TensorFlow joins ops where it can. A run of a graph costs about 30 µs.
 *
 * The first call with inputs of certain shapes records the function's ops and makes the graph, which then computes that call
 * too, so that all calls give the same bits. What the ops gave is held against it: TensorFlow's graph optimizer is not free of
 * mistakes (in 2.15 a slice that is transposed, reshaped to the shape that it has, and transposed back comes out transposed), and
 * a function that it breaks runs op by op, with a warning.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { BackendError } from '../../../errors.js';
import { rawOps } from '../raw-ops.js';
import { encodeSavedModel, GRAPH_TAG, type GraphNode } from './graph-def.js';
import { isRecording, type RecordableBinding, record, recordable } from './recording.js';

/** The members of tfjs-node's backend that deal with graphs. */
interface GraphBackend {
  readonly tensorMap: { get(dataId: object): { readonly dtype: number; readonly shape: readonly number[] } };
  getInputTensorIds(tensors: readonly tf.Tensor[]): number[];
  createOutputTensor(output: GraphOutput): tf.Tensor;
  binding: RecordableBinding & {
    loadSavedModel(directory: string, tags: string): number;
    deleteSavedModel(session: number): void;
    runSavedModel(
      session: number,
      inputs: readonly number[],
      inputNames: string,
      outputNames: string,
    ): readonly GraphOutput[];
  };
}

/** Graphs that a worker keeps; the one that was used longest ago makes room. */
export const MOST_GRAPHS = 128;

interface GraphOutput {
  readonly id: number;
}

/**
 * Makes a function of tensors that runs as graphs.
 *
 * @param name unlike those of all others
 * @param body what it computes from its inputs and settings alone; whatever it leaves behind is disposed
 */
export function graphFunction<Settings extends object = object>(
  name: string,
  body: (inputs: readonly tf.Tensor[], settings: Settings) => tf.Tensor[],
): (inputs: readonly tf.Tensor[], settings: Settings) => tf.Tensor[] {
  return (inputs, settings) => {
    // What is being recorded needs the ops one by one.
    if (isRecording()) return tf.tidy(() => body(inputs, settings));
    const signature = [
      name,
      JSON.stringify(settings),
      ...inputs.map(({ dtype, shape }) => `${dtype}[${shape}]`),
    ].join(' ');
    const program = programsOf(tf.backend()).get(signature, () =>
      makeProgram(signature, given => tf.tidy(() => body(given, settings)), inputs),
    );
    return program.run(inputs);
  };
}

/** A function for inputs of certain shapes. */
interface Program {
  readonly run: TensorFunction;
  dispose(): void;
}

type TensorFunction = (inputs: readonly tf.Tensor[]) => tf.Tensor[];

const shelves = new WeakMap<object, ProgramShelf>();

function programsOf(backend: object): ProgramShelf {
  const shelf = shelves.get(backend) ?? new ProgramShelf();
  shelves.set(backend, shelf);
  return shelf;
}

/**
 * The programs of one backend. A worker's stages use the same few over and over, but a worker serves one trainer after the other,
 * and a graph of 32 time steps takes a few MB.
 */
class ProgramShelf {
  /** Last used last. */
  readonly #programs = new Map<string, Program>();

  get(signature: string, make: () => Program): Program {
    const program = this.#programs.get(signature) ?? make();
    this.#programs.delete(signature);
    this.#programs.set(signature, program);
    if (this.#programs.size > MOST_GRAPHS) {
      const [oldest, unused] = this.#programs.entries().next().value!;
      this.#programs.delete(oldest);
      unused.dispose();
    }
    return program;
  }
}

function makeProgram(signature: string, body: TensorFunction, inputs: readonly tf.Tensor[]): Program {
  const backend = tf.backend() as unknown as GraphBackend;
  backend.binding = recordable(backend.binding);
  // Handles of their own: the same tensor given twice is two inputs.
  const given = inputs.map(input => {
    const raw = rawOps();
    return raw.one('Identity', [raw.type('T', input.dtype as 'float32')], input);
  });
  let expected: tf.Tensor[] = [];
  try {
    const ids = backend.getInputTensorIds(given);
    const described = given.map(({ dataId, shape }, index) => ({
      id: ids[index]!,
      type: backend.tensorMap.get(dataId).dtype,
      shape,
    }));
    const { result, recording } = record(described, () => body(given));
    expected = result;
    const outputs = backend.getInputTensorIds(expected).map(id => recording.outputOf(id));
    const graph = new Graph(backend, recording.nodes, inputs.length, outputs);
    const actual = graph.run(inputs);
    const isRight = areAlike(actual, expected);
    tf.dispose(actual);
    if (isRight) return graph;
    graph.dispose();
    process.emitWarning(
      `TensorFlow's graph optimizer changes what '${signature}' computes, so it runs op by op, which is slower.`,
      { code: 'MILLRACE_GRAPH_DIFFERS' },
    );
    return { run: body, dispose() {} };
  } finally {
    tf.dispose([...given, ...expected]);
  }
}

/** Rounding differs by less; a wrong operation by more. */
const TOLERANCE = 1e-3;

function areAlike(actual: readonly tf.Tensor[], expected: readonly tf.Tensor[]): boolean {
  return expected.every((tensor, index) => {
    const other = actual[index]!;
    if (other.dtype !== tensor.dtype || !tf.util.arraysEqual(other.shape, tensor.shape)) return false;
    return areClose(other.dataSync(), tensor.dataSync());
  });
}

/** Differences are measured by the largest number; what is not finite only has to be so in both. */
function areClose(values: ArrayLike<number>, references: ArrayLike<number>): boolean {
  let largest = 0;
  for (let place = 0; place < references.length; place++) {
    const size = Math.abs(references[place]!);
    if (Number.isFinite(size)) largest = Math.max(largest, size);
  }
  for (let place = 0; place < references.length; place++) {
    const [value, reference] = [values[place]!, references[place]!];
    const isClose = Number.isFinite(reference)
      ? Math.abs(value - reference) <= TOLERANCE * largest
      : !Number.isFinite(value);
    if (!isClose) return false;
  }
  return true;
}

class Graph implements Program {
  readonly #backend: GraphBackend;
  readonly #session: number;
  /** Names with commas between, as the addon takes them. */
  readonly #inputs: string;
  readonly #outputs: string;

  constructor(
    backend: GraphBackend,
    nodes: readonly GraphNode[],
    inputs: number,
    outputs: readonly string[],
  ) {
    this.#backend = backend;
    this.#session = load(backend, nodes);
    this.#inputs = Array.from({ length: inputs }, (_, index) => `input${index}:0`).join(',');
    this.#outputs = outputs.join(',');
  }

  run(inputs: readonly tf.Tensor[]): tf.Tensor[] {
    const backend = this.#backend;
    const ids = backend.getInputTensorIds(inputs);
    return backend.binding
      .runSavedModel(this.#session, ids, this.#inputs, this.#outputs)
      .map(output => backend.createOutputTensor(output));
  }

  dispose(): void {
    this.#backend.binding.deleteSavedModel(this.#session);
  }
}

/** tfjs-node reads graphs from a directory alone. */
function load(backend: GraphBackend, nodes: readonly GraphNode[]): number {
  const directory = makeDirectory();
  try {
    writeFileSync(join(directory, 'saved_model.pb'), encodeSavedModel(nodes));
    return backend.binding.loadSavedModel(directory, GRAPH_TAG);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function makeDirectory(): string {
  try {
    return mkdtempSync(join(tmpdir(), 'millrace-graph-'));
  } catch (error) {
    throw new BackendError(
      'tensorflow',
      `a graph for TensorFlow cannot be written below ${tmpdir()}: ${(error as Error).message}. ` +
        'Set TMPDIR to a directory that can be written to.',
      { cause: error },
    );
  }
}
