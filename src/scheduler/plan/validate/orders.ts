/**
 * Checks the compute actions of schedules or programs: each in range and on its stage's worker, each (stage,
 * micro-batch) with each of F, B, W (or F alone) exactly once and in that order.
 */
import { type Action, type ComputeAction, isExchange, type Program } from '../../../protocol/action.js';
import type { Fault } from '../fault.js';
import { formatAction } from '../text.js';

export interface PlanShape {
  readonly stageCount: number;
  readonly microBatchCount: number;
  readonly workerOfStage: readonly number[];
  readonly training: boolean;
}

type ComputeKind = ComputeAction['kind'];

const TRAINING_KINDS: readonly ComputeKind[] = ['forward', 'backwardInput', 'backwardWeight'];
const FORWARD_KINDS: readonly ComputeKind[] = ['forward'];

/** The first fault, going through the workers' lists from left to right. */
export function findOrderFault(lists: readonly Program[], shape: PlanShape): Fault | undefined {
  const kinds = shape.training ? TRAINING_KINDS : FORWARD_KINDS;
  const seen = new SeenActions();
  for (const [worker, list] of lists.entries()) {
    for (const [index, action] of list.entries()) {
      const found = shapeFault(action, worker, shape) ?? repeatFault(action, seen, kinds, index);
      if (found !== undefined) return { worker, index, action, ...found };
    }
  }
  return findMissing(lists, shape, kinds, seen);
}

type Finding = Pick<Fault, 'fault' | 'message' | 'note'>;

function shapeFault(action: Action, worker: number, shape: PlanShape): Finding | undefined {
  const refuse = (message: string, note: string): Finding => ({ fault: 'shape', message, note });
  const { stageCount, microBatchCount, workerOfStage, training } = shape;
  const { stage } = action;
  if (!isIndexBelow(stage, stageCount)) {
    return refuse(`stage ${stage} does not exist; stages count from 0 to ${stageCount - 1}`, 'no such stage');
  }
  if (workerOfStage[stage] !== worker) {
    return refuse(`stage ${stage} is placed on worker ${workerOfStage[stage]}, not here`, 'wrong worker');
  }
  if (!training && action.kind !== 'forward' && action.kind !== 'send' && action.kind !== 'receive') {
    return refuse(
      'nothing is trained here, so only forwards belong in this plan',
      'not in a forward-only plan',
    );
  }
  if (action.kind === 'step' || isExchange(action)) return undefined;
  const { microBatches, kind } = action;
  const bad = microBatches.find(microBatch => !isIndexBelow(microBatch, microBatchCount));
  if (bad !== undefined) {
    const range = `micro-batches count from 0 to ${microBatchCount - 1}`;
    return refuse(`micro-batch ${bad} does not exist; ${range}`, 'no such micro-batch');
  }
  if (microBatches.length === 0 || (microBatches.length > 1 && kind !== 'backwardWeight')) {
    const rule = kind === 'backwardWeight' ? 'at least one micro-batch' : 'exactly one micro-batch';
    return refuse(`a ${kind} action names ${rule}, this one ${microBatches.length}`, `needs ${rule}`);
  }
  return undefined;
}

function repeatFault(
  action: Action,
  seen: SeenActions,
  kinds: readonly ComputeKind[],
  index: number,
): Finding | undefined {
  if (!isOneOf(action, kinds)) return undefined;
  for (const microBatch of action.microBatches) {
    const one = formatAction({ ...action, microBatches: [microBatch] });
    const earlier = seen.add(action.kind, action.stage, microBatch, index);
    if (earlier !== undefined) {
      return {
        fault: 'doubled',
        message: `${one} is there already, at position ${earlier}`,
        note: `second ${one}`,
      };
    }
    const needed = kinds[kinds.indexOf(action.kind) - 1];
    if (needed === undefined || seen.has(needed, action.stage, microBatch)) continue;
    const before = formatAction({ kind: needed, stage: action.stage, microBatches: [microBatch] });
    return { fault: 'order', message: `${one} needs ${before} before it`, note: `before ${before}` };
  }
  return undefined;
}

function findMissing(
  lists: readonly Program[],
  { stageCount, microBatchCount, workerOfStage }: PlanShape,
  kinds: readonly ComputeKind[],
  seen: SeenActions,
): Fault | undefined {
  for (let stage = 0; stage < stageCount; stage++) {
    for (let microBatch = 0; microBatch < microBatchCount; microBatch++) {
      const kind = kinds.find(candidate => !seen.has(candidate, stage, microBatch));
      if (kind === undefined) continue;
      const worker = workerOfStage[stage]!;
      const action: ComputeAction = { kind, stage, microBatches: [microBatch] };
      const message = `${formatAction(action)} is missing from the list, which ends here`;
      return {
        fault: 'missing',
        worker,
        index: lists[worker]!.length,
        action,
        message,
        note: `${formatAction(action)} missing`,
      };
    }
  }
  return undefined;
}

/** Remembers at which position each (kind, stage, micro-batch) was seen. */
class SeenActions {
  readonly #positions = new Map<ComputeKind, Map<number, number>[]>();

  /** The earlier position, if there is one. */
  add(kind: ComputeKind, stage: number, microBatch: number, index: number): number | undefined {
    const stages = this.#positions.get(kind) ?? [];
    this.#positions.set(kind, stages);
    const ofStage = stages[stage] ?? new Map<number, number>();
    stages[stage] = ofStage;
    const earlier = ofStage.get(microBatch);
    if (earlier === undefined) ofStage.set(microBatch, index);
    return earlier;
  }

  has(kind: ComputeKind, stage: number, microBatch: number): boolean {
    return this.#positions.get(kind)?.[stage]?.has(microBatch) ?? false;
  }
}

function isOneOf(action: Action, kinds: readonly ComputeKind[]): action is ComputeAction {
  return (kinds as readonly string[]).includes(action.kind);
}

function isIndexBelow(value: number, count: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < count;
}
