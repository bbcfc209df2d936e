/**
 * Exact segmentation where workers hold several stages, and the memory of all of them counts against one limit.
 *
 * What a worker has used by then decides what its later stages may take, so the dynamic programs of `segments.ts`, which know only
 * where a segment ends, do not suffice. Here every (number of segments, end) keeps several partial solutions, *labels*: all that no
 * other one is at least as good as in bottleneck, sum, and memory of each worker that has further stages to come (multi-criteria
 * dynamic programming; Martins 1984). With stages in blocks at most one worker is between its stages at a time. Round robin
 * and Vs keep many, and the number of labels may explode: the search then gives up rather than take for ever.
 */
import { PartitionError } from './errors.js';
import type { Segmentation, SegmentCost } from './segments.js';

/** A second or two: the work is in comparing labels with each other. */
const MOST_COMPARISONS = 20_000_000;

export interface WorkerMemoryProblem {
  readonly blockCount: number;
  readonly stageCount: number;
  /** Infinite where a stage alone is too large. */
  readonly cost: SegmentCost;
  /** Bytes of a segment as a stage. */
  readonly bytes: SegmentCost;
  readonly workerOfStage: readonly number[];
  /** By worker. */
  readonly limits: readonly number[];
  /** Summed over segments. */
  readonly weight: (first: number, end: number) => number;
  /** What is minimised. */
  readonly compare: (one: Judged, other: Judged) => number;
}

export interface Judged {
  readonly bottleneck: number;
  /** Of all weights. */
  readonly sum: number;
}

interface Label extends Judged {
  /** Bytes by worker; 0 for those that have no stage before or none to come. */
  readonly used: readonly number[];
  readonly start: number;
  readonly before: Label | undefined;
}

/** Undefined if no segmentation keeps within the limits. */
export function leastWithinWorkers(problem: WorkerMemoryProblem): Segmentation | undefined {
  const { blockCount, stageCount, workerOfStage, limits } = problem;
  const empty: Label = { bottleneck: 0, sum: 0, used: limits.map(() => 0), start: 0, before: undefined };
  let labels: Label[][] = Array.from({ length: blockCount + 1 }, (_, end) => (end === 0 ? [empty] : []));
  let operationCount = 0;
  for (let stage = 0; stage < stageCount; stage++) {
    const isLast = stage === stageCount - 1;
    const worker = workerOfStage[stage]!;
    const isDone = !workerOfStage.includes(worker, stage + 1);
    const next: Label[][] = Array.from({ length: blockCount + 1 }, () => []);
    for (let end = isLast ? blockCount : stage + 1; end <= blockCount - (stageCount - 1 - stage); end++) {
      for (let first = end - 1; first >= stage; first--) {
        if (problem.cost.floor(first, end, stage) === Number.POSITIVE_INFINITY) break;
        for (const before of labels[first]!) {
          operationCount++;
          const label = extend(problem, before, { first, end, stage, worker, isDone });
          if (label === undefined) continue;
          operationCount += 2 * next[end]!.length;
          if (operationCount > MOST_COMPARISONS) throw tooMany();
          keep(next[end]!, label);
        }
      }
    }
    labels = next;
  }
  const found = labels[blockCount]!;
  if (found.length === 0) return undefined;
  const best = found.reduce((least, one) => (problem.compare(one, least) < 0 ? one : least));
  return { starts: startsOf(best), operationCount };
}

interface Segment {
  readonly first: number;
  readonly end: number;
  readonly stage: number;
  readonly worker: number;
  /** Whether it is the worker's last. */
  readonly isDone: boolean;
}

function extend(
  { cost, bytes, limits, weight }: WorkerMemoryProblem,
  before: Label,
  { first, end, stage, worker, isDone }: Segment,
): Label | undefined {
  const own = cost.of(first, end, stage);
  const used = before.used[worker]! + bytes.of(first, end, stage);
  if (own === Number.POSITIVE_INFINITY || used > limits[worker]!) return undefined;
  return {
    bottleneck: Math.max(before.bottleneck, own),
    sum: before.sum + weight(first, end),
    used: before.used.with(worker, isDone ? 0 : used),
    start: first,
    before,
  };
}

/** Adds a label unless another one is as good, and drops those that it is as good as. */
function keep(labels: Label[], label: Label): void {
  if (labels.some(other => isAsGood(other, label))) return;
  let kept = 0;
  for (const other of labels) if (!isAsGood(label, other)) labels[kept++] = other;
  labels.length = kept;
  labels.push(label);
}

function isAsGood(one: Label, other: Label): boolean {
  return (
    one.bottleneck <= other.bottleneck &&
    one.sum <= other.sum &&
    one.used.every((bytes, worker) => bytes <= other.used[worker]!)
  );
}

function startsOf(last: Label): number[] {
  const starts: number[] = [];
  // The empty label and the first segment's have no cut.
  for (let label: Label | undefined = last; label?.before?.before !== undefined; label = label.before)
    starts.unshift(label.start);
  return starts;
}

function tooMany(): PartitionError {
  return new PartitionError(
    'the memory limit binds, and there are too many ways to spread the layers over workers that hold several stages each. ' +
      'Allow more memory, use one stage a worker, or name the layers that begin the stages',
  );
}
