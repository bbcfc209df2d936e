/** The engine's tape and scopes, which tfjs keeps to itself. */

import { MillraceError } from '../errors.js';
import { tf } from '../tf.js';
import { required } from './required.js';

/** One recorded kernel call. `gradient` returns one thunk per input; nothing need be computed before a call. */
export interface TapeNode {
  readonly id: number;
  readonly kernelName: string;
  readonly inputs: Readonly<Record<string, tf.Tensor>>;
  readonly outputs: readonly tf.Tensor[];
  readonly saved: readonly tf.Tensor[];
  readonly gradient?: (dys: (tf.Tensor | null)[]) => Record<string, () => tf.Tensor>;
}

interface EngineState {
  activeTape: TapeNode[] | null;
  activeScope: { track: tf.Tensor[] } | null;
  gradientDepth: number;
  kernelDepth: number;
}

interface Engine {
  readonly state: EngineState;
  startTape(): void;
  endTape(): void;
  isTapeOn(): boolean;
  startScope(name?: string): void;
  endScope(result?: unknown): void;
  keep<T extends tf.Tensor>(tensor: T): T;
  disposeTensor(tensor: tf.Tensor): void;
  incRef(tensor: tf.Tensor, backend: null): void;
}

const engine = (): Engine => tf.engine() as unknown as Engine;

function engineState(): EngineState {
  return required(engine().state, 'engine().state');
}

/**
 * Runs `run` with the tape on and returns its result with the recorded nodes. What `run` passes to `tf.keep` and the
 * nodes' saved tensors (see `disposeTape`) are the caller's from then on; all else that `run` made is disposed, unless a
 * gradient that the user wrote may read it.
 *
 * Must not be nested in another gradient computation: the tape would be shared.
 */
export function recordTape<T>(run: () => T): { result: T; tape: TapeNode[] } {
  const tfEngine = engine();
  const state = engineState();
  if (state.gradientDepth !== 0) {
    throw new MillraceError('MILLRACE_TFJS', 'A forward pass cannot be recorded inside another gradient.');
  }
  tfEngine.startTape();
  tfEngine.startScope('millrace.forward');
  try {
    const result = run();
    return { result, tape: keepForClosures(required(state.activeTape, 'engine().state.activeTape')) };
  } catch (error) {
    if (state.activeTape !== null) disposeTape(state.activeTape);
    throw error;
  } finally {
    tfEngine.endScope();
    tfEngine.endTape();
    state.activeTape = null;
  }
}

/** Operations of tfjs with gradients of their own that read nothing but what they saved. */
const SELF_CONTAINED_OPS: ReadonlySet<string> = new Set(
  ['fusedMatMul', 'fusedConv2d', 'fusedDepthwiseConv2d', 'logSoftmax', 'softmaxCrossEntropy'].map(
    name => `${name}__op`,
  ),
);

/**
 * A gradient given to `tf.customGrad` may read any tensor of the forward pass, since plain `fit` keeps them all until the
 * gradients are done; `tf.logSigmoid` does. What the scope still holds then counts as saved by that node.
 */
function keepForClosures(tape: readonly TapeNode[]): TapeNode[] {
  const isClosure = ({ gradient, kernelName }: TapeNode): boolean =>
    gradient !== undefined && tf.getGradient(kernelName) === undefined && !SELF_CONTAINED_OPS.has(kernelName);
  const first = tape.findIndex(isClosure);
  if (first < 0) return [...tape];
  const held = heldByScope();
  return tape.map((node, index) => (index === first ? { ...node, saved: [...node.saved, ...held] } : node));
}

/** What the active scope would dispose at its end; kept from then on, and the caller's. */
function heldByScope(): tf.Tensor[] {
  const scope = required(engineState().activeScope, 'engine().state.activeScope');
  const held = required(scope.track, 'scope.track').filter(
    tensor => !(tensor as tf.Tensor & { kept: boolean }).kept && !tensor.isDisposed,
  );
  for (const tensor of held) engine().keep(tensor);
  return held;
}

/** Runs `run` without recording it; a tape of its own is not that of its surroundings. */
export function withoutTape<T>(run: () => T): T {
  const state = engineState();
  const { gradientDepth, kernelDepth, activeTape } = state;
  Object.assign(state, { gradientDepth: 0, kernelDepth: 0, activeTape: null });
  try {
    return run();
  } finally {
    Object.assign(state, { gradientDepth, kernelDepth, activeTape });
  }
}

const tapeLabels = new WeakMap<TapeNode, string>();

/** Length of the tape that is being recorded; 0 where none is. */
export function tapeLength(): number {
  return engineState().activeTape?.length ?? 0;
}

/** Notes what the nodes recorded since `start` belong to, so that an error in their gradients can say it. */
export function labelTape(start: number, label: string): void {
  const tape = engineState().activeTape ?? [];
  for (let index = start; index < tape.length; index++) tapeLabels.set(tape[index]!, label);
}

export function tapeLabel(node: TapeNode): string | undefined {
  return tapeLabels.get(node);
}

/** Disposes what the tape kept for the backward pass. */
export function disposeTape(tape: readonly TapeNode[]): void {
  for (const node of tape) for (const tensor of node.saved) tensor.dispose();
}

/** Whether the next kernel call is recorded. */
export function isTapeOn(): boolean {
  return engine().isTapeOn();
}

/**
 * Adds tensors to what the last recorded node has saved for its gradient: state of a kernel that is no output of it, for which
 * tfjs would make zero-filled gradients. They live and go with the node's other saved tensors.
 */
export function saveWithLastNode(tensors: readonly tf.Tensor[]): void {
  const node = required(engineState().activeTape?.at(-1), 'engine().state.activeTape');
  (node.saved as tf.Tensor[]).push(...tensors);
}

/**
 * Runs `run` and returns its result with every tensor that it made and that nothing else keeps; the caller owns
 * them all. Unlike in `tf.tidy`, nothing is disposed: closures that `run` returned may still read them.
 */
export function collectTensors<T>(run: () => T): { result: T; owned: tf.Tensor[] } {
  const tfEngine = engine();
  tfEngine.startScope('millrace.collect');
  try {
    const result = run();
    return { result, owned: heldByScope() };
  } finally {
    tfEngine.endScope();
  }
}

/**
 * Changes a variable's data without a second buffer: drops what it holds, runs `update`, and gives it what `read` returns.
 * It gets that also when `update` throws.
 */
export function renewVariable(variable: tf.Variable, update: () => void, read: () => tf.Tensor): void {
  const tfEngine = engine();
  tfEngine.disposeTensor(variable);
  try {
    update();
  } finally {
    const value = read();
    (variable as { dataId: object }).dataId = value.dataId;
    tfEngine.incRef(variable, null);
    value.dispose();
  }
}
