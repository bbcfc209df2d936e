/**
 * Lowers a schedule to programs: one flat list of actions per worker, for one mini-batch.
 *
 * A chain of small passes, each a pure function over one worker's list:
 *   1. recompute        `R` before the B's that rebuild their tape (training)
 *   2. steps            `S` behind each stage's last W, and exchanges of tied weights, of replicas and of norms (training)
 *   3. driver messages  feeds before F, outputs after F (predicting)
 *   4. stage messages   activations and gradients; last, so that they stand nearest to their F or B and other
 *                       stages never wait for the driver
 */
import type { Program } from '../../protocol/action.js';
import type { Schedule } from '../../protocol/schedule.js';
import type { RunMode } from '../../protocol/session.js';
import type { StageTopology } from '../../protocol/topology.js';
import { addDriverMessages } from './lower/driver-messages.js';
import { addRecompute, type RecomputeMode } from './lower/recompute.js';
import { addStageMessages } from './lower/stage-messages.js';
import { addSteps } from './lower/steps.js';

export interface LowerOptions {
  /** Default `train`. Evaluating and predicting take schedules of forwards alone. */
  readonly mode?: RunMode;
  /** Default `never`. Has no meaning outside training. */
  readonly recompute?: RecomputeMode;
  /** Whether gradients are clipped by their norm over all stages. Default: no. Has no meaning outside training. */
  readonly globalNorm?: boolean;
}

/**
 * One program per worker. For predicting, `topology.fedStages` names the stages that own model inputs; targets
 * are not fed then.
 */
export function lower(
  schedule: Schedule,
  topology: StageTopology,
  options: LowerOptions = {},
): readonly Program[] {
  return [...lowerEach(schedule, topology, options)];
}

/** The same, one program at a time: those of a large plan are several gigabytes together. */
export function* lowerEach(
  schedule: Schedule,
  topology: StageTopology,
  { mode = 'train', recompute = 'never', globalNorm = false }: LowerOptions = {},
): Generator<Program> {
  const { stageCount, ties = [], replicaTies = [] } = topology;
  const steps = { stageCount, ties, replicaTies, globalNorm };
  for (const order of schedule.orders) {
    const training = mode === 'train' ? addSteps(addRecompute(order, recompute), steps) : order;
    yield addStageMessages(addDriverMessages(training, topology, mode), topology);
  }
}
