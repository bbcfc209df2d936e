/**
 * Schedules as JSON: the form in which `trainer.plan.schedule` is saved, and the same object that the option `schedule` takes.
 * It is checked for its form here; whether it can run is the validator's to say, as for text.
 */
import { z } from 'zod';
import type { Schedule } from '../../protocol/schedule.js';
import { ScheduleJsonError } from './errors.js';

const count = z.int().min(1);
const index = z.int().min(0);

/** What a schedule looks like as plain data. */
export const scheduleSchema = z.object({
  name: z.string(),
  stageCount: count,
  microBatchCount: count,
  workerOfStage: z.array(index),
  orders: z.array(
    z.array(
      z.object({
        kind: z.enum(['forward', 'backwardInput', 'backwardWeight']),
        stage: index,
        microBatches: z.array(index).min(1),
      }),
    ),
  ),
});

export function formatScheduleJson(schedule: Schedule): string {
  return JSON.stringify(schedule);
}

/** @throws ScheduleJsonError that says where the text is no schedule */
export function parseScheduleJson(text: string): Schedule {
  const parsed = scheduleSchema.safeParse(parseJson(text));
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  throw new ScheduleJsonError(formatPath(path), message);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ScheduleJsonError('', `not JSON: ${(cause as Error).message}`, { cause });
  }
}

/** `orders[0][2].kind` */
function formatPath(path: readonly PropertyKey[]): string {
  return path
    .map(part => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('')
    .replace(/^\./, '');
}
