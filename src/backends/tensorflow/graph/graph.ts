/** TensorFlow graphs by way of tfjs-node: loading one, running it, and letting it go. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BackendError } from '../../../errors.js';
import { tf } from '../../../tf.js';
import { NotTraceableError } from '../../graph-parts.js';
import { rawOps } from '../raw-ops.js';
import { encodeSavedModel, GRAPH_TAG, type GraphNode } from './graph-def.js';
import { type RecordableBinding, type RecordedInput, recordable } from './recording.js';

/** The members of tfjs-node's backend that deal with graphs. */
export interface GraphBackend {
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

interface GraphOutput {
  readonly id: number;
}

/** tfjs's current backend, ready to be recorded. */
export function graphBackend(): GraphBackend {
  const backend = tf.backend() as unknown as GraphBackend;
  backend.binding = recordable(backend.binding);
  return backend;
}

/** Another tensor with the same content, which the addon knows by an id of its own. */
export function handleOf(tensor: tf.Tensor): tf.Tensor {
  const raw = rawOps();
  return raw.one('Identity', [raw.type('T', tensor.dtype as 'float32')], tensor);
}

/** What a recording must know of the tensors that it is given. */
export function describeInputs(backend: GraphBackend, tensors: readonly tf.Tensor[]): RecordedInput[] {
  const ids = backend.getInputTensorIds(tensors);
  return tensors.map(({ dataId, shape }, index) => ({
    id: ids[index]!,
    type: backend.tensorMap.get(dataId).dtype,
    shape,
  }));
}

/** What TensorFlow says of a graph that it has loaded and does not run. */
export class GraphRunError extends Error {
  override readonly name = 'GraphRunError';
}

/** A graph that is loaded, and where its inputs and outputs are. */
export class Graph {
  readonly #backend: GraphBackend;
  readonly #session: number;
  /** Names with commas between, as the addon takes them. */
  readonly #inputs: string;
  readonly #outputs: string;

  /**
   * @param inputs where they go in, as `node:output`, in the order in which `run` is given them
   * @param outputs where they come out
   */
  constructor(
    backend: GraphBackend,
    nodes: readonly GraphNode[],
    inputs: readonly string[],
    outputs: readonly string[],
  ) {
    this.#backend = backend;
    this.#session = load(backend, nodes);
    this.#inputs = inputs.join(',');
    this.#outputs = outputs.join(',');
  }

  /** @throws GraphRunError if TensorFlow does not run it */
  run(inputs: readonly tf.Tensor[]): tf.Tensor[] {
    const backend = this.#backend;
    const ids = backend.getInputTensorIds(inputs);
    return this.#runOn(ids).map(output => backend.createOutputTensor(output));
  }

  #runOn(ids: readonly number[]): readonly GraphOutput[] {
    try {
      return this.#backend.binding.runSavedModel(this.#session, ids, this.#inputs, this.#outputs);
    } catch (error) {
      throw new GraphRunError((error as Error).message, { cause: error });
    }
  }

  dispose(): void {
    this.#backend.binding.deleteSavedModel(this.#session);
  }
}

/** tfjs-node reads graphs from a directory alone. */
function load(backend: GraphBackend, nodes: readonly GraphNode[]): number {
  const directory = writing(() => mkdtempSync(join(tmpdir(), 'millrace-graph-')));
  try {
    writing(() => writeFileSync(join(directory, 'saved_model.pb'), encodeSavedModel(nodes)));
    return backend.binding.loadSavedModel(directory, GRAPH_TAG);
  } catch (error) {
    if (error instanceof BackendError) throw error;
    // An op of tfjs-node's that says less of itself than a graph must know.
    throw new NotTraceableError(`TensorFlow does not take the graph: ${(error as Error).message}`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function writing<T>(write: () => T): T {
  try {
    return write();
  } catch (error) {
    throw new BackendError(
      'tensorflow',
      `A graph for TensorFlow cannot be written below ${tmpdir()}: ${(error as Error).message}. ` +
        'Set TMPDIR to a directory that can be written to.',
      { cause: error },
    );
  }
}
