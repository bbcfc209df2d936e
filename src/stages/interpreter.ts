/**
 * Runs a worker's program for one mini-batch: the flat list of actions, in order, with no hop through the main thread.
 * It knows stages by their engines and neighbours by their links, and nothing of tensors.
 */
import { type Action, isExchange, type Program } from '../protocol/action.js';
import { formatAction } from '../protocol/action-text.js';
import { channelId, channelOf } from '../protocol/channel.js';
import { nowMs } from '../protocol/clock.js';
import type { ReceiveLink, SendLink, SlotView } from '../transport/index.js';
import type { StageEngine, StepInfo } from './engine.js';

/** What was running when something threw. */
export class ActionFailure extends Error {
  readonly action: Action;
  readonly step: number;

  constructor(action: Action, step: number, cause: unknown) {
    super(`${formatAction(action)} failed in step ${step}`, { cause });
    this.name = 'ActionFailure';
    this.action = action;
    this.step = step;
  }
}

export interface InterpreterParts {
  readonly program: Program;
  /** By stage. */
  readonly engines: ReadonlyMap<number, StageEngine>;
  /** By channel id. */
  readonly senders: ReadonlyMap<string, SendLink>;
  readonly receivers: ReadonlyMap<string, ReceiveLink>;
}

export class Interpreter {
  readonly #steps: readonly ((microBatchCount: number) => void)[];
  readonly #program: Program;
  readonly #engines: ReadonlyMap<number, StageEngine>;

  constructor(parts: InterpreterParts) {
    this.#program = parts.program;
    this.#engines = parts.engines;
    // Links and engines are looked up once: the loop over a step then runs closures alone.
    this.#steps = parts.program.map(action => bind(action, parts));
  }

  /**
   * Runs the program once and writes start and end of each action to `times`. A mini-batch with fewer micro-batches than
   * the program was made for (the last one of an epoch) skips the actions of those it lacks.
   */
  run(info: StepInfo, times: Float64Array): void {
    for (const engine of this.#engines.values()) engine.begin(info);
    const microBatchCount = info.microBatchRows.length;
    for (const [index, execute] of this.#steps.entries()) {
      times[2 * index] = nowMs();
      try {
        execute(microBatchCount);
      } catch (cause) {
        throw new ActionFailure(this.#program[index]!, info.number, cause);
      }
      times[2 * index + 1] = nowMs();
    }
  }
}

function bind(
  action: Action,
  { engines, senders, receivers }: InterpreterParts,
): (microBatchCount: number) => void {
  const engine = engines.get(action.stage)!;
  if (action.kind === 'step') return () => engine.step();
  if (isExchange(action)) {
    const { pass, peer } = action;
    const id = channelId(channelOf(action));
    if (action.kind === 'send') {
      const link = senders.get(id)!;
      return () => sendInto(link, slot => engine.emitExchange(pass, peer, slot));
    }
    const link = receivers.get(id)!;
    return () => receiveFrom(link, (slot, release) => engine.acceptExchange(pass, peer, slot, release));
  }
  const { microBatches } = action;
  const microBatch = microBatches[0]!;
  switch (action.kind) {
    case 'forward':
      return count => microBatch < count && engine.forward(microBatch);
    case 'recompute':
      return count => microBatch < count && engine.recompute(microBatch);
    case 'backwardInput':
      return count => microBatch < count && engine.backwardInput(microBatch);
    case 'backwardWeight':
      return count => engine.backwardWeight(microBatches.filter(index => index < count));
    case 'send': {
      const { pass, peer } = action;
      const link = senders.get(channelId(channelOf(action)))!;
      return count => microBatch < count && sendInto(link, slot => engine.emit(pass, peer, microBatch, slot));
    }
    case 'receive': {
      const { pass, peer } = action;
      const link = receivers.get(channelId(channelOf(action)))!;
      return count =>
        microBatch < count &&
        receiveFrom(link, (slot, release) => engine.accept(pass, peer, microBatch, slot, release));
    }
    default:
      return action satisfies never;
  }
}

function sendInto(link: SendLink, write: (slot: SlotView) => void): void {
  const slot = link.claim();
  write(link.slot(slot));
  link.publish(slot);
}

function receiveFrom(link: ReceiveLink, take: (slot: SlotView, release: () => void) => void): void {
  const slot = link.receive();
  take(link.slot(slot), () => link.release(slot));
}
