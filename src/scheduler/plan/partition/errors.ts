/** What the partitioners refuse, in words that name the layers a user can choose instead. */
import { MillraceError } from '../../../errors.js';
import type { PartitionProblem } from './problem.js';

export class PartitionError extends MillraceError {
  constructor(message: string) {
    super('MILLRACE_PARTITION', message);
  }
}

/** No cut keeps within the memory limit. */
export class MemoryLimitError extends PartitionError {
  /** The least that a worker was found to need: exact where every stage has a worker of its own. */
  readonly leastBytes: number;

  constructor(message: string, leastBytes: number) {
    super(message);
    this.leastBytes = leastBytes;
  }
}

/** Names that a message lists before it only counts the rest. */
const LISTED_NAMES = 12;

/** Every partitioner starts here. */
export function checkProblem(problem: PartitionProblem, stageCount: number): void {
  const { units, allowedCuts } = problem;
  const ascending = allowedCuts.every(
    (cut, index) => cut > (allowedCuts[index - 1] ?? 0) && cut < units.length,
  );
  if (units.length === 0 || !ascending || !allowedCuts.every(Number.isInteger)) {
    throw new PartitionError(
      `allowedCuts must be ascending whole numbers from 1 to ${units.length - 1}, got [${allowedCuts.join(', ')}]`,
    );
  }
  if (!Number.isInteger(stageCount) || stageCount < 1) {
    throw new PartitionError(`the number of stages must be a whole number of at least 1, got ${stageCount}`);
  }
  const most = allowedCuts.length + 1;
  if (stageCount <= most) return;
  const places =
    most === 1 ? 'nowhere' : `before ${listNames(allowedCuts.map(cut => beginningOf(problem, cut)))}`;
  throw new PartitionError(
    `cannot make ${stageCount} stages: this model has at most ${most}, because it can be cut ${places}`,
  );
}

/** Name of the layer that a unit begins with. */
export function beginningOf({ units }: PartitionProblem, unit: number): string {
  const { layerNames, name } = units[unit]!;
  return layerNames[0] ?? name;
}

export function listNames(names: readonly string[]): string {
  const shown = names.slice(0, LISTED_NAMES).map(name => `'${name}'`);
  const rest = names.length - shown.length;
  return `${shown.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}
