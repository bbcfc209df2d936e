/**
 * One session inside a worker: its engines, its ends of the channels, and the loop over mini-batches.
 *
 * Between mini-batches the loop passes its service point. While steps are handed out and nothing is paused it goes straight
 * on; else it sleeps on the step board in short slices and lets the event loop serve control calls in between.
 */
import { setImmediate } from 'node:timers/promises';
import { channelId, channelOf } from '../protocol/channel.js';
import type { CollectiveLayout } from '../protocol/collective.js';
import type { ReplicaPart } from '../protocol/replica.js';
import type { SessionSpec } from '../protocol/session.js';
import { LIMIT_INDEX } from '../protocol/step-board.js';
import {
  Arena,
  type Collective,
  type ControlBlock,
  type ReceiveLink,
  type SendLink,
  SharedMemoryCollective,
  SharedMemoryLinks,
  StepBoard,
  Waiter,
} from '../transport/index.js';
import type { EngineMode, StageEngine, StepInfo } from './engine.js';
import { ActionFailure, Interpreter } from './interpreter.js';
import { ReplicaGroup } from './replica-group.js';

/** How long a worker without work sleeps before it looks for control calls. Short: weight reads wait for it. */
const SERVICE_SLICE_MS = 2;

export type EngineFactory = (stage: number, mode: EngineMode) => StageEngine;

export class WorkerSession {
  readonly #worker: number;
  readonly #control: ControlBlock;
  readonly #board: StepBoard;
  readonly #engines: ReadonlyMap<number, StageEngine>;
  readonly #interpreter: Interpreter;
  readonly #part: ReplicaPart;
  readonly #groups: ReplicaGroup[] = [];
  readonly #links: (SendLink | ReceiveLink)[] = [];

  constructor(spec: SessionSpec, worker: number, control: ControlBlock, makeEngine: EngineFactory) {
    this.#worker = worker;
    this.#control = control;
    this.#part = spec.part;
    this.#board = StepBoard.attach(spec.board, spec.boardLayout);
    const waiter = new Waiter(control, {
      worker,
      stallTimeoutMs: spec.stallTimeoutMs,
      spinCount: spec.spinCount,
    });
    const links = new SharedMemoryLinks(Arena.attach(spec.arena), waiter, {
      poison: spec.poison,
      checked: spec.poison,
      // There are slots for all mini-batches under way: the driver never waits for one.
      ringsOnRelease: false,
    });
    const senders = new Map<string, SendLink>();
    const receivers = new Map<string, ReceiveLink>();
    const layouts = new Map(spec.channels.map(layout => [layout.id, layout]));
    for (const action of spec.program) {
      if (action.kind !== 'send' && action.kind !== 'receive') continue;
      const id = channelId(channelOf(action));
      const layout = layouts.get(id)!;
      if (action.kind === 'send' && !senders.has(id)) senders.set(id, links.openSender(layout));
      if (action.kind === 'receive' && !receivers.has(id)) receivers.set(id, links.openReceiver(layout));
    }
    this.#links.push(...senders.values(), ...receivers.values());
    this.#engines = new Map(
      spec.stages.map(stage => {
        const group = this.#joinGroup(spec, stage, waiter);
        return [stage, makeEngine(stage, { ...engineMode(spec, stage), group })];
      }),
    );
    this.#interpreter = new Interpreter({
      program: spec.program,
      engines: this.#engines,
      senders,
      receivers,
    });
  }

  #joinGroup(spec: SessionSpec, stage: number, waiter: Waiter): ReplicaGroup | undefined {
    const layouts = spec.collectives.get(stage);
    if (layouts === undefined) return undefined;
    const arena = Arena.attach(spec.arena);
    const join = (layout: CollectiveLayout): Collective =>
      new SharedMemoryCollective(arena, layout, spec.part.replica, waiter);
    const group = new ReplicaGroup(join(layouts.all), join(layouts.active));
    this.#groups.push(group);
    return group;
  }

  /** Runs mini-batches until the driver ends the run. Throws what an action threw, with its place. */
  async run(): Promise<void> {
    const board = this.#board;
    let step = board.completedBy(this.#worker);
    try {
      while (await this.#servicePoint(step)) {
        this.#interpreter.run(this.#describe(step), board.times(step, this.#worker));
        for (const [stage, engine] of this.#engines) {
          try {
            engine.end(board.sums(step, stage));
          } catch (cause) {
            throw new ActionFailure({ kind: 'step', stage }, board.describe(step).number, cause);
          }
        }
        this.#control.beat(this.#worker);
        board.complete(this.#worker, step);
        // The last one alone wakes the driver, which takes time from a worker where all cores are at work.
        if (board.completed > step) this.#control.ring();
        step += 1;
      }
    } catch (error) {
      for (const engine of this.#engines.values()) engine.abandon();
      throw error;
    }
  }

  #describe(step: number): StepInfo {
    const board = this.#board;
    const described = board.describe(step);
    const { replica, replicas } = this.#part;
    const ownCount = board.layout.microBatchCount / replicas;
    const first = replica * ownCount;
    const rowsOf = (microBatches: readonly number[]): number =>
      microBatches.reduce((sum, rows) => sum + rows, 0);
    return {
      ...described,
      microBatchRows: described.microBatchRows.slice(first, first + ownCount),
      activeReplicas: Math.ceil(described.microBatchRows.length / ownCount),
      firstSample: rowsOf(described.microBatchRows.slice(0, first)),
    };
  }

  /** Whether step `step` is to run; waits until that is known. */
  async #servicePoint(step: number): Promise<boolean> {
    const board = this.#board;
    for (;;) {
      this.#control.throwIfAborted('start a mini-batch');
      const { isEnded, limit } = board;
      if (step < limit && !this.#control.isPaused) return true;
      if (isEnded && step >= limit) return false;
      // Pairs with the notifications in `StepBoard.publish` and `end`, which wake this at once.
      Atomics.wait(board.words, LIMIT_INDEX, limit, SERVICE_SLICE_MS);
      this.#control.beat(this.#worker);
      await setImmediate();
    }
  }

  close(): void {
    for (const engine of this.#engines.values()) engine.dispose();
    for (const link of this.#links) link.close();
    for (const group of this.#groups) group.close();
  }
}

function engineMode(
  { mode, program, clipNorm, synchronisesBatchNorm }: SessionSpec,
  stage: number,
): EngineMode {
  const recomputed = new Set<number>();
  for (const action of program) {
    if (action.kind === 'recompute' && action.stage === stage) recomputed.add(action.microBatches[0]!);
  }
  return {
    training: mode === 'train',
    predicting: mode === 'predict',
    recomputed,
    clipNorm,
    synchronisesBatchNorm,
  };
}
