/**
 * Which worker runs which stage.
 *
 * Stages go to workers in contiguous blocks of nearly equal length: neighbours on one worker need no transport
 * of their own, and a block behaves like one larger stage. `gpipe`, `1f1b` and `zero-bubble` are made for such placements,
 * though they accept any.
 */
import { MillraceError } from '../../errors.js';

/** Worker of every stage. Uses `min(stageCount, workerCount)` workers: a worker without a stage has no work. */
export function place(stageCount: number, workerCount: number): readonly number[] {
  for (const [name, value] of Object.entries({ stageCount, workerCount })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new MillraceError(
        'MILLRACE_SCHEDULE',
        `${name} must be a whole number of at least 1, got ${value}`,
      );
    }
  }
  const used = Math.min(stageCount, workerCount);
  return Array.from({ length: stageCount }, (_, stage) => Math.floor((stage * used) / stageCount));
}
