/**
 * Adds what stages send each other: an activation leaves right after the F that makes it and is received
 * right before the F that needs it; gradients do the same around B.
 *
 * Both sides of every edge speak through a channel, also where they live on one worker: a program then means
 * the same for any placement. Receives stand directly before their use and sends directly behind their
 * making, so communication adds no order to that of the compute actions. What can deadlock is a schedule whose
 * order does, or too few slots. With several edges the nearer stage is served first, as it waits the soonest.
 */
import type { ComputeAction, MessageAction, MicroBatchPass, Program } from '../../../protocol/action.js';
import type { StageEdge, StageTopology } from '../../../protocol/topology.js';
import { insert } from './insert.js';

interface Neighbours {
  /** Edges into the stage and out of it, nearest other side first. */
  readonly incoming: StageEdge[];
  readonly outgoing: StageEdge[];
}

export function addStageMessages(program: Program, topology: StageTopology): Program {
  const neighbours = neighboursOfStages(topology);
  return insert(program, action => {
    const own = neighbours[action.stage];
    if (own === undefined) return undefined;
    switch (action.kind) {
      case 'forward':
        return {
          before: messages(
            'receive',
            action,
            'forward',
            own.incoming.map(edge => edge.from),
          ),
          after: messages(
            'send',
            action,
            'forward',
            own.outgoing.map(edge => edge.to),
          ),
        };
      case 'backwardInput':
        return {
          before: messages(
            'receive',
            action,
            'backward',
            own.outgoing.filter(edge => edge.gradient).map(edge => edge.to),
          ),
          after: messages(
            'send',
            action,
            'backward',
            own.incoming.filter(edge => edge.gradient).map(edge => edge.from),
          ),
        };
      default:
        return undefined;
    }
  });
}

function messages(
  kind: 'send' | 'receive',
  { stage, microBatches }: ComputeAction,
  pass: MicroBatchPass,
  peers: readonly number[],
): MessageAction[] {
  return peers.map(peer => ({ kind, stage, microBatches, pass, peer }));
}

function neighboursOfStages({ stageCount, edges }: StageTopology): readonly Neighbours[] {
  const neighbours = Array.from({ length: stageCount }, (): Neighbours => ({ incoming: [], outgoing: [] }));
  for (const edge of edges) {
    neighbours[edge.from]!.outgoing.push(edge);
    neighbours[edge.to]!.incoming.push(edge);
  }
  for (const { incoming, outgoing } of neighbours) {
    incoming.sort((one, other) => other.from - one.from);
    outgoing.sort((one, other) => one.to - other.to);
  }
  return neighbours;
}
