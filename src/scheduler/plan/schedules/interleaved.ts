/**
 * Interleaved 1F1B (Narayanan et al., Megatron-LM, arXiv 2104.04473): every worker holds v stages that lie apart, so a
 * micro-batch comes round to every worker after a v-th of the time, and the bubble falls from (p−1)(F+B+W) to
 * (p−1)(F+B+W)/v. In units of a worker's whole share, worker r keeps up to p + (p−1−2r)/v live micro-batches, never above m.
 *
 * 4 stages on 2 workers, 4 micro-batches, F = B = W = 1:
 *
 *   worker 0  0F0 0F1 2F0 2F1 0F2 2B0 2W0 0F3 2B1 2W1 2F2 0B0 0W0 2F3 0B1 0W1 .   2B2 2W2 .   2B3 2W3 0B2 0W2 0B3 0W3
 *   worker 1  .   1F0 1F1 3F0 3B0 3W0 3F1 3B1 3W1 1F2 1B0 1W0 1F3 1B1 1W1 3F2 3B2 3W2 3F3 3B3 3W3 1B2 1W2 1B3 1W3
 *
 * Micro-batches go in groups of p. A worker does F of a group's micro-batches in its first run, then in its second, and
 * so on; B the other way round, from its last run to its first. With that order of F's and that of B's, worker r begins with
 * 2(p−1−r) + (v−1)p F's and then does one F and one B in turn.
 *
 * Where p does not divide m, that order can deadlock. The order taken then is the one for the next multiple of p, with
 * micro-batches that do not exist left out, as evenly from all groups as can be. What is left of an order without
 * deadlocks has none: nothing waits for what was left out. In the same way any placement is round robin with runs left out:
 * run q gets the next place behind that of run q − 1 that belongs to its worker. One run a worker makes plain 1F1B.
 */
import type { ComputeAction } from '../../../protocol/action.js';
import { oneFOneB } from './one-f-one-b.js';
import {
  backwards,
  checkParams,
  forwards,
  type ScheduleGenerator,
  singleMicroBatches,
  splitIntoRuns,
} from './params.js';

export const interleaved: ScheduleGenerator = params => {
  checkParams(params);
  const { stageCount, microBatchCount, workerOfStage } = params;
  const rounds = layOutRounds(workerOfStage);
  if (rounds.runs.length === 1) return { ...oneFOneB(params), name: 'interleaved' };
  const groups = formGroups(microBatchCount, rounds.workers.length);
  const orders: (readonly ComputeAction[])[] = [];
  for (const [rank, worker] of rounds.workers.entries()) orders[worker] = orderOf(rank, rounds, groups);
  return { name: 'interleaved', stageCount, microBatchCount, workerOfStage: [...workerOfStage], orders };
};

interface Rounds {
  /** In the order in which a micro-batch first meets them. */
  readonly workers: readonly number[];
  /** By round and place in it, the stages of the run that stands there. */
  readonly runs: readonly (readonly (readonly number[] | undefined)[])[];
}

function layOutRounds(workerOfStage: readonly number[]): Rounds {
  const workers = [...new Set(workerOfStage)];
  const rankOf = new Map(workers.map((worker, rank) => [worker, rank]));
  const runs: (readonly number[] | undefined)[][] = [[]];
  for (const stages of splitIntoRuns(workerOfStage)) {
    const rank = rankOf.get(workerOfStage[stages[0]!]!)!;
    if (rank < runs.at(-1)!.length) runs.push([]);
    runs.at(-1)![rank] = stages;
  }
  return { workers, runs };
}

/** The micro-batches that exist, in as many groups as are needed and as even as can be. */
function formGroups(microBatchCount: number, workerCount: number): (readonly number[])[][] {
  const microBatches = singleMicroBatches(microBatchCount);
  const groupCount = Math.ceil(microBatchCount / workerCount);
  const firstOf = (group: number): number => Math.ceil((group * microBatchCount) / groupCount);
  return Array.from({ length: groupCount }, (_, group) =>
    microBatches.slice(firstOf(group), firstOf(group + 1)),
  );
}

function orderOf(rank: number, { workers, runs }: Rounds, groups: (readonly number[])[][]): ComputeAction[] {
  const perRound = workers.length;
  const perGroup = perRound * runs.length;
  const count = perGroup * groups.length;
  /** What stands at a place of the full order, if it exists. */
  const at = (index: number, make: typeof forwards, roundOf: (turn: number) => number): ComputeAction[] => {
    const round = roundOf(Math.floor((index % perGroup) / perRound));
    const stages = runs[round]![rank];
    const microBatches = groups[Math.floor(index / perGroup)]![index % perRound];
    return stages === undefined || microBatches === undefined ? [] : make(stages, microBatches);
  };
  const warmUp = Math.min(count, 2 * (perRound - 1 - rank) + (runs.length - 1) * perRound);
  const order: ComputeAction[] = [];
  for (let index = 0; index < count + warmUp; index++) {
    if (index < count) order.push(...at(index, forwards, turn => turn));
    if (index >= warmUp) order.push(...at(index - warmUp, backwards, turn => runs.length - 1 - turn));
  }
  return order;
}
