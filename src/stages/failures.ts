/** Turning what a stage threw into a `Failure` that says where it happened. */
import { formatAction } from '../protocol/action-text.js';
import type { Failure } from '../protocol/failure.js';
import type { Reply } from '../protocol/worker-api.js';
import { LayerFailure } from './engine.js';
import { ActionFailure } from './interpreter.js';

/** Unwraps the layers that the interpreter and the stage put around the original error. */
export function describeFailure(error: unknown, worker: number): Failure {
  let place: Partial<Failure> = { worker };
  let current = error;
  if (current instanceof ActionFailure) {
    const { action, step } = current;
    const microBatch = 'microBatches' in action ? action.microBatches[0] : undefined;
    place = {
      ...place,
      stage: action.stage,
      step,
      action: formatAction(action),
      ...(microBatch === undefined ? {} : { microBatch }),
    };
    current = current.cause;
  }
  if (current instanceof LayerFailure) {
    place = { ...place, layer: current.layer };
    current = current.cause;
  }
  if (!(current instanceof Error)) return { name: 'Error', message: String(current), ...place };
  const { code } = current as { code?: unknown };
  return {
    name: current.name,
    message: current.message,
    ...(current.stack === undefined ? {} : { stack: current.stack }),
    ...(typeof code === 'string' ? { code } : {}),
    ...place,
  };
}

/** Runs `task` and returns its value or failure as data. */
export async function replying<T>(worker: number, task: () => T | Promise<T>): Promise<Reply<T>> {
  try {
    return { ok: true, value: await task() };
  } catch (error) {
    return { ok: false, failure: describeFailure(error, worker) };
  }
}
