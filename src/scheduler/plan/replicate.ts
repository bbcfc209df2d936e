/**
 * Data parallelism: a schedule for one pipeline becomes one for several, each with all stages, on workers of its own.
 *
 * Nothing but numbers changes (see `protocol/replica.ts`): everything that proves, simulates, draws and runs schedules sees
 * a schedule with more stages. What replicas owe each other at the end of a mini-batch is in the topology's `replicaTies`.
 */
import { replicaStage } from '../../protocol/replica.js';
import type { Schedule } from '../../protocol/schedule.js';
import type { StageTie, StageTopology } from '../../protocol/topology.js';

export function replicateSchedule(schedule: Schedule, replicas: number): Schedule {
  const { stageCount, workerOfStage, orders } = schedule;
  const each = Array.from({ length: replicas }, (_, replica) => replica);
  return {
    ...schedule,
    stageCount: stageCount * replicas,
    workerOfStage: each.flatMap(replica => workerOfStage.map(worker => worker + replica * orders.length)),
    orders: each.flatMap(replica =>
      orders.map(order =>
        order.map(action => ({ ...action, stage: replicaStage(replica, action.stage, stageCount) })),
      ),
    ),
  };
}

/** @param steppers by stage, the replicas that step some of its weights */
export function replicateTopology(
  topology: StageTopology,
  replicas: number,
  steppers: readonly (readonly number[])[],
): StageTopology {
  const { stageCount, ties = [] } = topology;
  const each = Array.from({ length: replicas }, (_, replica) => replica);
  const everywhere = (stages: readonly number[]): number[] =>
    each.flatMap(replica => stages.map(stage => replicaStage(replica, stage, stageCount)));
  return {
    stageCount: stageCount * replicas,
    edges: each.flatMap(replica =>
      topology.edges.map(edge => ({
        ...edge,
        from: replicaStage(replica, edge.from, stageCount),
        to: replicaStage(replica, edge.to, stageCount),
      })),
    ),
    fedStages: everywhere(topology.fedStages),
    outputStages: everywhere(topology.outputStages),
    ties: each.flatMap(replica =>
      ties.map(({ owner, user }) => ({
        owner: replicaStage(replica, owner, stageCount),
        user: replicaStage(replica, user, stageCount),
      })),
    ),
    replicaTies: replicaTies(each, stageCount, steppers),
  };
}

function replicaTies(
  replicas: readonly number[],
  stageCount: number,
  steppers: readonly (readonly number[])[],
): StageTie[] {
  return replicas.flatMap(owner =>
    steppers.flatMap((ofStage, stage) =>
      ofStage.includes(owner)
        ? replicas
            .filter(user => user !== owner)
            .map(user => ({
              owner: replicaStage(owner, stage, stageCount),
              user: replicaStage(user, stage, stageCount),
            }))
        : [],
    ),
  );
}
