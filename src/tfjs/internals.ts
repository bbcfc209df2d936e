/**
 * Everything that Millrace needs of TensorFlow.js beyond its public API, in one place.
 *
 * tfjs 4.22 is a peer dependency pinned to its minor version, so these members can be relied on; still, each
 * accessor checks what it reads and fails with the member's name, because the user's copy is the user's. Nothing
 * outside this file reads a private member of tfjs.
 */
import * as tf from '@tensorflow/tfjs';
import { MillraceError } from '../errors.js';

function required<T>(value: T | null | undefined, member: string): T {
  if (value === null || value === undefined) {
    throw new MillraceError(
      'MILLRACE_TFJS',
      `TensorFlow.js ${tf.version_core} has no ${member}, which Millrace relies on. ` +
        'Install @tensorflow/tfjs ~4.22.0, and only one copy of it.',
    );
  }
  return value;
}

// ---------------------------------------------------------------- engine: tape and scopes

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

/** Runs `run` without recording it. */
export function withoutTape<T>(run: () => T): T {
  const state = engineState();
  const { gradientDepth } = state;
  state.gradientDepth = 0;
  try {
    return run();
  } finally {
    state.gradientDepth = gradientDepth;
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

// ---------------------------------------------------------------- layers: graph and weights

export type Layer = tf.layers.Layer;
export type LayerVariable = tf.LayerVariable;

/** One call of a layer in the symbolic graph. */
export interface GraphCall {
  readonly outboundLayer: Layer;
  readonly inputTensors: readonly tf.SymbolicTensor[];
  readonly outputTensors: readonly tf.SymbolicTensor[];
}

/** The call that produces `tensor`. */
export function producerOf(tensor: tf.SymbolicTensor): GraphCall {
  const nodes = required(
    (tensor.sourceLayer as unknown as { inboundNodes?: GraphCall[] }).inboundNodes,
    'Layer.inboundNodes',
  );
  return required(nodes[required(tensor.nodeIndex, 'SymbolicTensor.nodeIndex')], 'SymbolicTensor.nodeIndex');
}

interface LayerParts {
  layers?: readonly Layer[];
  layer?: Layer;
  forwardLayer?: Layer;
  backwardLayer?: Layer;
  cell?: Layer;
  cells?: readonly Layer[];
  _trainableWeights?: readonly LayerVariable[];
  _nonTrainableWeights?: readonly LayerVariable[];
}

/**
 * The layers that a container, wrapper or recurrent layer is made of, in a fixed order. A layer of the user's own may hold
 * others in any of its properties, by themselves or in lists.
 */
export function innerLayers(layer: Layer): readonly Layer[] {
  const parts = layer as unknown as LayerParts;
  if (layer instanceof tf.LayersModel) return parts.layers ?? [];
  const { forwardLayer, backwardLayer, cells, layer: wrapped, cell } = parts;
  const known = [forwardLayer, backwardLayer, ...listOf(cells), wrapped, cell].filter(isLayer);
  if (known.length > 0) return [...new Set(known)];
  return [...new Set(Object.values(layer).flatMap(listOf).filter(isLayer))];
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [value];
}

function isLayer(value: unknown): value is Layer {
  return value instanceof tf.layers.Layer;
}

/** The weights that a layer itself holds, whatever its `trainable` flag says. */
export function ownWeights(layer: Layer): readonly LayerVariable[] {
  const parts = layer as unknown as LayerParts;
  return [...(parts._trainableWeights ?? []), ...(parts._nonTrainableWeights ?? [])];
}

/** Weights of a layer itself that its calls change beside the optimizer, such as running statistics. */
export function ownStateWeights(layer: Layer): readonly LayerVariable[] {
  return (layer as unknown as LayerParts)._nonTrainableWeights ?? [];
}

const RANDOM_CLASSES: ReadonlySet<string> = new Set([
  'Dropout',
  'SpatialDropout1D',
  'AlphaDropout',
  'GaussianDropout',
  'GaussianNoise',
]);

/** Whether a layer itself, inner layers aside, draws random numbers in training. */
export function drawsRandomNumbers(layer: Layer): boolean {
  const { dropout = 0, recurrentDropout = 0 } = layer as unknown as {
    dropout?: number;
    recurrentDropout?: number;
  };
  return RANDOM_CLASSES.has(layer.getClassName()) || dropout > 0 || recurrentDropout > 0;
}

/** The engine variable behind a layer's weight. */
export function variableOf(weight: LayerVariable): tf.Variable {
  return weight.read() as tf.Variable;
}

export function regularizationLosses(layer: Layer): tf.Scalar[] {
  return (layer as unknown as { calculateLosses(): tf.Scalar[] }).calculateLosses();
}

/** Builds a layer for known input shapes without a symbolic call, as `apply` would. */
export function buildLayer(layer: Layer, shapes: readonly tf.Shape[]): void {
  if (layer.built) return;
  layer.build(shapes.length === 1 ? (shapes[0] as tf.Shape) : [...shapes]);
  layer.built = true;
}

export interface BatchNormParts {
  readonly axis: number;
  readonly momentum: number;
  readonly movingMean: LayerVariable;
  readonly movingVariance: LayerVariable;
}

/** The inside of a batch normalization that is built; `undefined` for any other layer. */
export function batchNormParts(layer: Layer): BatchNormParts | undefined {
  if (layer.getClassName() !== 'BatchNormalization') return undefined;
  const parts = layer as unknown as BatchNormParts;
  for (const member of ['axis', 'momentum', 'movingMean', 'movingVariance'] as const) {
    required(parts[member], `BatchNormalization.${member}`);
  }
  return parts;
}

export function supportsMasking(layer: Layer): boolean {
  return layer.supportsMasking === true;
}

export function isStateful(layer: Layer): boolean {
  return (layer as unknown as { stateful?: boolean }).stateful === true;
}

interface RecurrentParts {
  states_?: tf.Tensor[] | null;
  keptStates?: tf.Tensor[][];
  dropoutMask?: tf.Tensor | tf.Tensor[] | null;
  recurrentDropoutMask?: tf.Tensor | tf.Tensor[] | null;
}

/** Disposes what a recurrent layer or cell keeps between calls: states, and dropout masks until the next call. */
export function disposeRecurrentState(layer: Layer): void {
  const parts = layer as unknown as RecurrentParts;
  const { states_, keptStates, dropoutMask, recurrentDropoutMask } = parts;
  tf.dispose([states_ ?? [], keptStates ?? [], dropoutMask ?? [], recurrentDropoutMask ?? []]);
  if (states_ !== undefined) parts.states_ = null;
  if (keptStates !== undefined) parts.keptStates = [];
  if (dropoutMask !== undefined) parts.dropoutMask = null;
  if (recurrentDropoutMask !== undefined) parts.recurrentDropoutMask = null;
}

// ---------------------------------------------------------------- registered classes

type FromConfig = (cls: unknown, config: object) => unknown;

/** Makes an object of a class registered with tfjs (layers, optimizers, user's own) from its config. */
export function fromRegisteredConfig<T>(className: string, config: object, kind: string): T {
  const map = tf.serialization.SerializationMap.getMap().classNameMap as Record<
    string,
    [unknown, FromConfig] | undefined
  >;
  const entry = map[className];
  if (entry === undefined) {
    throw new MillraceError(
      'MILLRACE_UNKNOWN_CLASS',
      `The ${kind} class '${className}' is not registered with tfjs in this thread. Register it with ` +
        'tf.serialization.registerClass() in a module and name that module in the `setup` option.',
    );
  }
  const [cls, fromConfig] = entry;
  return fromConfig(cls, config) as T;
}

export function isRegisteredClass(className: string): boolean {
  return tf.serialization.SerializationMap.getMap().classNameMap[className] !== undefined;
}

// ---------------------------------------------------------------- compiled models

export type LossOrMetric = (yTrue: tf.Tensor, yPred: tf.Tensor) => tf.Tensor;

interface CompiledModel {
  optimizer_?: tf.Optimizer;
  loss?: unknown;
  metrics?: unknown;
  lossFunctions?: LossOrMetric[];
  metricsTensors?: [LossOrMetric, number][];
  metricsNames?: string[];
  collectedTrainableWeights?: LayerVariable[];
  stopTraining_?: boolean;
  isTraining?: boolean;
  history?: tf.History;
  outputNames: string[];
  getDedupedMetricsNames(): string[];
  standardizeUserDataXY(
    x: unknown,
    y: unknown,
    checkBatchAxis: boolean,
    batchSize: number | undefined,
  ): [tf.Tensor[], tf.Tensor[]];
}

/**
 * The private side of a compiled model: what `compile` resolved, and tfjs's own checks of user data. A `tf.Sequential`
 * keeps all of it in an inner functional model.
 */
export function compiled(model: tf.LayersModel): CompiledModel {
  const inner = (model as { model?: tf.LayersModel }).model ?? model;
  const parts = inner as unknown as CompiledModel;
  required(parts.standardizeUserDataXY, 'LayersModel.standardizeUserDataXY');
  required(parts.getDedupedMetricsNames, 'LayersModel.getDedupedMetricsNames');
  return parts;
}

export function isCompiled(model: tf.LayersModel): boolean {
  const { optimizer_, lossFunctions } = compiled(model);
  return optimizer_ !== undefined && optimizer_ !== null && lossFunctions !== undefined;
}

/** What `fit` marks on a model while it runs; on a `tf.Sequential` the outer and the inner model both count. */
function faces(model: tf.LayersModel): CompiledModel[] {
  return [...new Set([compiled(model), model as unknown as CompiledModel])];
}

export function isTrainingStopped(model: tf.LayersModel): boolean {
  return faces(model).some(face => face.stopTraining_ === true);
}

export function allowTraining(model: tf.LayersModel): void {
  for (const face of faces(model)) face.stopTraining_ = false;
}

export function setTraining(model: tf.LayersModel, isTraining: boolean): void {
  for (const face of faces(model)) face.isTraining = isTraining;
}

export function isTraining(model: tf.LayersModel): boolean {
  return faces(model).some(face => face.isTraining === true);
}

export function setHistory(model: tf.LayersModel, history: tf.History): void {
  for (const face of faces(model)) face.history = history;
}

/** The class that all callbacks extend; tfjs exports only its descendants. */
export function baseCallbackClass(): abstract new () => unknown {
  return required(Object.getPrototypeOf(tf.Callback), 'BaseCallback');
}

// ---------------------------------------------------------------- optimizers

interface OptimizerParts {
  /** The scalar that SGD and momentum keep of their rate. */
  c?: tf.Scalar;
  learningRate?: number;
  iterations_?: number;
  setLearningRate?(learningRate: number): void;
}

/** Disposes an optimizer, with the scalar that momentum's own `dispose` forgets. */
export function disposeOptimizer(optimizer: tf.Optimizer): void {
  optimizer.dispose();
  (optimizer as unknown as OptimizerParts).c?.dispose();
}

export function learningRateOf(optimizer: tf.Optimizer): number {
  return (optimizer as unknown as OptimizerParts).learningRate ?? Number.NaN;
}

/** Sets the rate; SGD and momentum keep a scalar of it, which only their setter renews. */
export function setLearningRate(optimizer: tf.Optimizer, learningRate: number): void {
  const parts = optimizer as unknown as OptimizerParts;
  if (parts.learningRate === learningRate) return;
  if (parts.setLearningRate !== undefined) parts.setLearningRate(learningRate);
  else parts.learningRate = learningRate;
}

/** Sets the count of steps taken, for an optimizer whose `setWeights` does not. */
export function setIterations(optimizer: tf.Optimizer, iterations: number): void {
  (optimizer as unknown as OptimizerParts).iterations_ = iterations;
}

/** Whether an optimizer's slots can be read and written: tfjs 4.22 says of Adamax, and of the base class, that they cannot. */
export function hasReadableSlots(optimizer: tf.Optimizer): boolean {
  return optimizer.getClassName() !== 'Adamax' && optimizer.getWeights !== tf.Optimizer.prototype.getWeights;
}
