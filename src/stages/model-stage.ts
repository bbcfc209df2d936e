/**
 * A stage of a model at work: it runs its layers forward with the tape on, keeps the tape until the gradient arrives, and
 * turns gradients of its outputs into gradients of its inputs (B) and of its weights (W).
 *
 * Tensors and slots. A received tensor may go on reading its slot, and so may whatever the tape saved of it. Everything of
 * one micro-batch therefore lives in one `MicroBatch` record, and its slots are released together, after W has disposed
 * the tape. Weight gradients and their factors outlive that; `slotFreeCopy` makes sure that they do not read a slot either.
 */

import type { Backend } from '../backends/index.js';
import type { ExchangePass, MicroBatchPass, Peer } from '../protocol/action.js';
import { type EdgeValues, leavingValues, type StageSpec } from '../protocol/stage-spec.js';
import type { SumsLayout } from '../protocol/sums-layout.js';
import { tf } from '../tf.js';
import { recordTape, withoutTape } from '../tfjs/internals.js';
import type { SlotView } from '../transport/index.js';
import { backwardInput } from './backward.js';
import type { BatchNormControl } from './batch-norm/index.js';
import type { EngineMode, StageEngine, StepInfo } from './engine.js';
import type { OutputFunctions } from './functions.js';
import type { StageLayers } from './layers.js';
import type { MeanLoss } from './mean-loss.js';
import { readTensors, writeTensors } from './messages.js';
import { MicroBatch } from './micro-batch.js';
import type { StageOptimizer } from './optimizer.js';
import type { RandomContext } from './random/index.js';
import type { ReplicaWeights } from './replica-weights.js';
import { slotFreeCopy } from './slot-free-copy.js';
import { StageStep } from './stage-step.js';
import { SumsRecorder } from './sums.js';
import type { Value } from './value.js';
import { WeightGradients } from './weight-gradients.js';

export interface ModelStageParts {
  readonly spec: StageSpec;
  readonly layers: StageLayers;
  readonly functions: readonly OutputFunctions[];
  /** By output. */
  readonly losses: readonly MeanLoss[];
  readonly optimizer: StageOptimizer;
  readonly backend: Backend;
  readonly random: RandomContext;
  readonly batchNorm: BatchNormControl | undefined;
  /** `undefined` where there is one replica only. */
  readonly replicaWeights: ReplicaWeights | undefined;
  readonly sumsLayout: SumsLayout;
}

export class ModelStage implements StageEngine {
  readonly stage: number;
  readonly #parts: ModelStageParts;
  readonly #mode: EngineMode;
  readonly #sums: SumsRecorder;
  /** Whether anything here or before this stage learns; if not, there is no tape and no backward pass. */
  readonly #needsBackward: boolean;
  readonly #leaving: ReadonlySet<number>;
  /** Messages that a micro-batch's outputs go out in. */
  readonly #emitCount: number;
  /** By number. No map: see `GradientSums.clear`. */
  readonly #microBatches: (MicroBatch | undefined)[] = [];
  readonly #gradients: WeightGradients;
  readonly #foreignState: readonly tf.Variable[];
  readonly #step: StageStep;
  #info: StepInfo = {
    number: 0,
    learningRate: 0,
    rows: 0,
    microBatchRows: [],
    firstSample: 0,
    activeReplicas: 1,
  };

  constructor(parts: ModelStageParts, mode: EngineMode) {
    const { spec, layers, functions, sumsLayout } = parts;
    this.stage = spec.stage;
    this.#parts = parts;
    this.#mode = mode;
    this.#gradients = new WeightGradients(spec, layers, parts.backend);
    this.#foreignState = layers.foreignState();
    this.#sums = new SumsRecorder(sumsLayout, functions);
    this.#step = new StageStep({
      ...parts,
      gradients: this.#gradients,
      sums: this.#sums,
      clipNorm: mode.clipNorm,
      group: mode.group,
      synchronisesBatchNorm: mode.synchronisesBatchNorm === true,
    });
    this.#needsBackward =
      this.#gradients.variables.length > 0 || spec.incoming.some(edge => edge.gradientValues.length > 0);
    this.#leaving = leavingValues(spec);
    this.#emitCount = spec.outgoing.length + (mode.predicting && spec.ownedOutputs.length > 0 ? 1 : 0);
  }

  begin(info: StepInfo): void {
    this.#info = info;
    this.#mode.group?.begin(info.activeReplicas);
  }

  accept(pass: MicroBatchPass, peer: Peer, microBatch: number, slot: SlotView, release: () => void): void {
    const state = this.#stateOf(microBatch);
    state.releases.push(release);
    const tensors = readTensors(this.#parts.backend, slot);
    state.received.push(...tensors.filter(tensor => tensor !== undefined));
    if (pass === 'backward') this.#acceptGradients(state, this.#edge('outgoing', peer), tensors);
    else if (peer === 'driver') this.#acceptFeed(state, tensors);
    else this.#acceptActivations(state, this.#edge('incoming', peer), tensors);
  }

  #acceptActivations(state: MicroBatch, edge: EdgeValues, tensors: readonly (tf.Tensor | undefined)[]): void {
    for (const [index, id] of edge.values.entries()) {
      state.inputs.set(id, { tensor: tensors[2 * index]!, mask: tensors[2 * index + 1] });
    }
  }

  #acceptFeed(state: MicroBatch, tensors: readonly (tf.Tensor | undefined)[]): void {
    const { fedInputs, ownedOutputs } = this.#parts.spec;
    for (const [index, { value, dtype }] of fedInputs.entries()) {
      const fed = tensors[index]!;
      const tensor = fed.dtype === dtype ? fed : tf.cast(fed, dtype as 'float32');
      if (tensor !== fed) state.received.push(tensor);
      state.inputs.set(value, { tensor, mask: undefined });
    }
    const targets = tensors.slice(fedInputs.length);
    for (const [index, { output }] of ownedOutputs.entries()) {
      const target = targets[2 * index];
      if (target !== undefined) state.targets.set(output, { target, weight: targets[2 * index + 1] });
    }
  }

  #acceptGradients(state: MicroBatch, edge: EdgeValues, tensors: readonly (tf.Tensor | undefined)[]): void {
    for (const [index, id] of edge.gradientValues.entries()) {
      const gradient = tensors[index];
      if (gradient === undefined) continue;
      const gradients = state.outputGradients.get(id) ?? [];
      gradients.push({ peer: edge.peer, gradient });
      state.outputGradients.set(id, gradients);
    }
  }

  forward(microBatch: number): void {
    const state = this.#stateOf(microBatch);
    const { training, recomputed } = this.#mode;
    const repeated = recomputed.has(microBatch);
    const taped = training && this.#needsBackward && !repeated;
    if (repeated) state.stateBefore = this.#snapshotState();
    this.#beginForward(microBatch, true);
    const losses = this.#keepingStateOffSlots(state, () =>
      taped ? this.#record(state) : this.#runUntaped(state, training),
    );
    this.#report(state, losses, microBatch);
    if (this.#emitCount > 0) return;
    if (training) state.disposeOutputs();
    else this.#finish(state, microBatch);
  }

  /** Runs forward again for the tape, from the non-trainable weights that the first pass met, and changes none of them. */
  recompute(microBatch: number): void {
    if (!this.#needsBackward) return;
    const state = this.#stateOf(microBatch);
    const present = this.#snapshotState();
    try {
      for (const { variable, value } of state.stateBefore) variable.assign(value);
      this.#beginForward(microBatch, false);
      const losses = this.#record(state);
      tf.dispose([...losses.values()]);
      state.disposeOutputs();
    } finally {
      for (const { variable, value } of present) variable.assign(value);
      tf.dispose(present.map(({ value }) => value));
    }
  }

  #snapshotState(): { readonly variable: tf.Variable; readonly value: tf.Tensor }[] {
    return this.#parts.layers
      .nonTrainable()
      .map(variable => ({ variable, value: tf.clone(variable as tf.Tensor) }));
  }

  /** A layer of the user's own may have kept a view of its input, which lies in a slot that is released soon. */
  #keepingStateOffSlots<T>(state: MicroBatch, forward: () => T): T {
    const { backend } = this.#parts;
    if (!backend.aliasesSlots || !this.#mode.training) return forward();
    const before = this.#foreignState.map(variable => variable.dataId);
    const result = forward();
    for (const [index, variable] of this.#foreignState.entries()) {
      if (variable.dataId === before[index]) continue;
      const copy = slotFreeCopy(backend, tf.clone(variable as tf.Tensor), state.largestReceived);
      variable.assign(copy);
      copy.dispose();
    }
    return result;
  }

  /** Both forward passes of a micro-batch draw the same numbers, and only the first one counts for running statistics. */
  #beginForward(microBatch: number, counts: boolean): void {
    const { number, microBatchRows } = this.#info;
    let { firstSample } = this.#info;
    for (let earlier = 0; earlier < microBatch; earlier++) firstSample += microBatchRows[earlier]!;
    this.#parts.random.begin(number, firstSample);
    const { group, synchronisesBatchNorm } = this.#mode;
    this.#parts.batchNorm?.begin({
      counts,
      synchronised: synchronisesBatchNorm === true ? group : undefined,
    });
  }

  #record(state: MicroBatch): Map<number, tf.Scalar> {
    const { result: losses, tape } = recordTape(() => this.#runLayers(state, true));
    state.tape = tape;
    state.lossIds = new Map([...losses].map(([output, loss]) => [output, loss.id]));
    return losses;
  }

  #runUntaped(state: MicroBatch, training: boolean): Map<number, tf.Scalar> {
    let losses = new Map<number, tf.Scalar>();
    tf.tidy(() => {
      losses = this.#runLayers(state, training);
    });
    return losses;
  }

  /** Calls the layers and the losses; keeps outputs on `state` and returns the mean loss of each owned output. */
  #runLayers(state: MicroBatch, training: boolean): Map<number, tf.Scalar> {
    const { spec, layers } = this.#parts;
    const values = new Map<number, Value>(state.inputs);
    layers.call(values, training);
    for (const id of this.#leaving) {
      const { tensor, mask } = values.get(id)!;
      // Clones: a layer may pass its input or mask on as it is, and a user's gradient may read the output after it was sent.
      const copy = withoutTape(() => tf.keep(tf.clone(tensor)));
      state.setOutput(id, tensor.id, copy, mask === undefined ? undefined : tf.keep(tf.clone(mask)));
    }
    const losses = new Map<number, tf.Scalar>();
    for (const { value, output } of spec.ownedOutputs) {
      const fed = state.targets.get(output);
      if (fed === undefined) continue;
      const { tensor } = values.get(value)!;
      const loss = this.#parts.losses[output]!.of(tensor, fed.target, fed.weight);
      losses.set(output, loss as tf.Scalar);
    }
    for (const loss of losses.values()) tf.keep(loss);
    return losses;
  }

  /** Adds losses and metrics to the stage's sums and disposes the losses. */
  #report(state: MicroBatch, losses: ReadonlyMap<number, tf.Scalar>, microBatch: number): void {
    const rows = this.#info.microBatchRows[microBatch]!;
    const isWhole = rows === this.#info.rows;
    for (const { value, output } of this.#parts.spec.ownedOutputs) {
      const loss = losses.get(output);
      const fed = state.targets.get(output);
      if (loss === undefined || fed === undefined) continue;
      this.#sums.addLoss(output, loss.dataSync()[0]!, rows);
      loss.dispose();
      this.#sums.addMetrics(output, fed.target, state.output(value).tensor, rows, isWhole);
    }
  }

  emit(pass: MicroBatchPass, peer: Peer, microBatch: number, slot: SlotView): void {
    const state = this.#stateOf(microBatch);
    if (pass === 'backward') {
      const edge = this.#edge('incoming', peer);
      writeTensors(
        this.#parts.backend,
        slot,
        edge.gradientValues.map(id => state.inputGradients.get(id)),
      );
      for (const id of edge.gradientValues) {
        state.inputGradients.get(id)?.dispose();
        state.inputGradients.delete(id);
      }
      return;
    }
    const leaving =
      peer === 'driver'
        ? this.#parts.spec.ownedOutputs.map(({ value }) => state.output(value).tensor)
        : this.#edge('outgoing', peer).values.flatMap(id => {
            const { tensor, mask } = state.output(id);
            return [tensor, mask];
          });
    writeTensors(this.#parts.backend, slot, leaving);
    state.emitted += 1;
    if (state.emitted < this.#emitCount) return;
    // When training, the tape has saved what the backward pass reads; the outputs themselves have done their work.
    if (this.#mode.training) state.disposeOutputs();
    else this.#finish(state, microBatch);
  }

  #finish(state: MicroBatch, microBatch: number): void {
    this.#microBatches[microBatch] = undefined;
    state.finish();
  }

  backwardInput(microBatch: number): void {
    if (!this.#needsBackward) return;
    const state = this.#stateOf(microBatch);
    const wanted = this.#parts.spec.incoming
      .flatMap(edge => edge.gradientValues)
      .filter(id => state.inputs.get(id)!.tensor.dtype === 'float32');
    const { inputGradients, deferred } = backwardInput({
      tape: state.tape,
      samples: state.received,
      inputs: wanted.map(id => state.inputs.get(id)!.tensor),
      variables: this.#gradients.variables,
      seeds: this.#seeds(state, microBatch),
    });
    for (const [index, id] of wanted.entries()) {
      const gradient = inputGradients[index];
      if (gradient !== undefined) state.inputGradients.set(id, gradient);
    }
    state.deferred = deferred;
  }

  /**
   * Where the backward walk starts: gradients from later stages, and each loss weighted by what it counts in the total and
   * by the micro-batch's share of the samples.
   */
  #seeds(state: MicroBatch, microBatch: number): Map<number, tf.Tensor> {
    const seeds = new Map<number, tf.Tensor>();
    for (const [id, gradients] of state.outputGradients) {
      // Summed in stage order, so that the same plan gives the same bits however the messages came in.
      const ordered = [...gradients].sort((a, b) => a.peer - b.peer).map(({ gradient }) => gradient);
      const sum = ordered.length === 1 ? tf.clone(ordered[0]!) : tf.addN(ordered);
      seeds.set(state.outputId(id), sum);
    }
    const share = this.#info.microBatchRows[microBatch]! / this.#info.rows;
    for (const [output, id] of state.lossIds) {
      seeds.set(id, tf.scalar(share * this.#parts.functions[output]!.lossWeight));
    }
    return seeds;
  }

  backwardWeight(microBatches: readonly number[]): void {
    const states = microBatches.map(microBatch => this.#stateOf(microBatch));
    const deferred = states.flatMap(state => state.deferred ?? []);
    const largest = Math.max(0, ...states.map(state => state.largestReceived));
    const areAll = microBatches.length === this.#info.microBatchRows.length;
    if (areAll && this.#mode.group !== undefined) this.#gradients.takeFactors(deferred, largest);
    this.#gradients.addAll(deferred, largest);
    for (const [place, microBatch] of microBatches.entries()) this.#finish(states[place]!, microBatch);
  }

  emitExchange(pass: ExchangePass, peer: number, slot: SlotView): void {
    this.#step.emit(pass, peer, slot);
  }

  acceptExchange(pass: ExchangePass, peer: number, slot: SlotView, release: () => void): void {
    this.#step.accept(pass, peer, slot, release);
  }

  step(): void {
    this.#step.run(this.#info.learningRate);
  }

  end(sums: Float64Array): void {
    const { rows, firstSample } = this.#info;
    this.#sums.flush(sums, rows, firstSample, this.#mode.group);
  }

  abandon(): void {
    for (const state of this.#microBatches) state?.drop();
    this.#microBatches.length = 0;
    this.#step.abandon();
    this.#sums.reset();
  }

  dispose(): void {
    this.abandon();
  }

  #stateOf(microBatch: number): MicroBatch {
    let state = this.#microBatches[microBatch];
    if (state === undefined) {
      state = new MicroBatch();
      this.#microBatches[microBatch] = state;
    }
    return state;
  }

  #edge(direction: 'incoming' | 'outgoing', peer: Peer): EdgeValues {
    return this.#parts.spec[direction].find(edge => edge.peer === peer)!;
  }
}
