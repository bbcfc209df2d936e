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

import { BackendError } from '../../../errors.js';
import { tf } from '../../../tf.js';
import { formOf } from '../../../tfjs/form.js';
import { tellingNumbers, tellsLittle } from '../../telling.js';
import { areAlike, isFaithful } from './differences.js';
import { describeInputs, Graph, graphBackend, handleOf } from './graph.js';
import { shelfByBackend } from './least-recently-used.js';
import { warnOfMissingGraphs } from './missing-graphs.js';
import { isRecording, record } from './recording.js';

/** Graphs that a worker keeps; the one that was used longest ago makes room. */
export const MOST_GRAPHS = 512;

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
    const signature = [name, JSON.stringify(settings), ...inputs.map(formOf)].join(' ');
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

/**
 * The programs of each backend. A worker's stages use the same few over and over, but a worker serves one trainer after the
 * other, and a graph of 32 time steps takes a few MB.
 */
const programsOf = shelfByBackend<Program>(MOST_GRAPHS);

function makeProgram(signature: string, body: TensorFunction, inputs: readonly tf.Tensor[]): Program {
  const backend = graphBackend();
  // Handles of their own: the same tensor given twice is two inputs.
  const given = inputs.map((input, index) =>
    tellsLittle(input) ? tellingNumbers(input, index) : handleOf(input),
  );
  let expected: tf.Tensor[] = [];
  try {
    const { result: outputs, recording } = record(describeInputs(backend, given), ownRecording => {
      expected = body(given);
      // While it is recorded: what was made of numbers goes to TensorFlow when its id is asked for.
      return backend.getInputTensorIds(expected).map(id => ownRecording.outputOf(id));
    });
    const graph = new Graph(backend, recording.nodes, recording.inputs, outputs);
    if (isFaithful(signature, () => computesAlike(graph, given, expected))) return graph;
    graph.dispose();
  } catch (error) {
    if (!(error instanceof BackendError)) throw error;
    warnOfMissingGraphs(error);
  } finally {
    tf.dispose([...given, ...expected]);
  }
  return { run: body, dispose() {} };
}

function computesAlike(graph: Graph, given: readonly tf.Tensor[], expected: readonly tf.Tensor[]): boolean {
  const actual = graph.run(given);
  try {
    return areAlike(actual, expected);
  } finally {
    tf.dispose(actual);
  }
}
