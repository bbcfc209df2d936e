/**
 * Adds what passes between stages and the driver: a fed stage receives its inputs and targets right before F;
 * when predicting, an output stage hands its outputs over right after F.
 */
import type { MessageAction, Program } from '../../../protocol/action.js';
import type { RunMode } from '../../../protocol/session.js';
import type { StageTopology } from '../../../protocol/topology.js';
import { insert } from './insert.js';

export function addDriverMessages(program: Program, topology: StageTopology, mode: RunMode): Program {
  const fed = new Set(topology.fedStages);
  const handingOver = new Set(mode === 'predict' ? topology.outputStages : []);
  return insert(program, action => {
    if (action.kind !== 'forward') return undefined;
    const { stage, microBatches } = action;
    const message = (kind: MessageAction['kind']): MessageAction[] => [
      { kind, stage, microBatches, pass: 'forward', peer: 'driver' },
    ];
    if (!fed.has(stage) && !handingOver.has(stage)) return undefined;
    return {
      before: fed.has(stage) ? message('receive') : [],
      after: handingOver.has(stage) ? message('send') : [],
    };
  });
}
