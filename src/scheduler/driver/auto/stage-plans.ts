/** All plans that use the workers of a machine, simulated with measured times of the layers. */
import { cutPoints } from '../../../model/index.js';
import { type ScheduleKind, scheduleKind } from '../../plan/index.js';
import { assemblePlan } from '../assemble-plan.js';
import { choosePlan, type PlanQuestion } from '../choose-plan.js';
import type { MeasuredCosts } from '../measure.js';
import { ModelMemory, thoseThatFit } from '../memory.js';
import { allowedMicroBatches } from '../micro-batches.js';
import type { PlanRequest } from '../model-plan.js';
import { partitionProblem } from '../partition-problem.js';
import { questionOf } from '../plan-question.js';
import { obstacleToReplicas } from '../replicas.js';
import { schedulesOf } from '../schedules-of.js';
import type { PredictedPlan } from './tuner.js';

/**
 * Schedules that are simulated, the simplest first; the others want two stages on each worker. `1f1b` is left out since it only
 * waits longer than `zero-bubble`, `gpipe` since it also keeps more, and `greedy` since it may differ from run to run.
 */
const SCHEDULES = ['zero-bubble', 'zb-v', 'interleaved'];

/**
 * What the prediction of a schedule with more stages is multiplied by before it is compared with those of simpler ones: its messages
 * are more and its calls smaller. Of the six models of the benchmark with two workers, a step under `zb-v` took 0.93 to 1.27 times what
 * was to be expected from the step under `zero-bubble` and both predictions, with a median of 1.07.
 */
const HANDICAP = 1.1;

/** Such schedules are simulated for as many stages at the most: training waits meanwhile, and beyond it takes seconds. */
const MOST_STAGES_IN_TURNS = 8;

/** How many workers are used, and for what. */
interface Shape {
  readonly replicas: number;
  /** Of each replica. */
  readonly workers: number;
}

/**
 * Of every number of replicas that uses the workers, and of those that the tuner comes upon as it halves their number, with stages and
 * without, under every schedule, the plan with the best number of micro-batches; the most promising one first.
 *
 * @throws MemoryLimitError where none keeps within the memory limit
 */
export function predictPlans(
  request: PlanRequest,
  costs: MeasuredCosts,
  workerCount: number,
): readonly PredictedPlan[] {
  const { graph, options, coupling } = request;
  const most = cutPoints(graph).length + 1;
  const mayShare = obstacleToReplicas(graph, coupling) === undefined;
  const workersOf = (replicas: number) => Math.min(most, Math.floor(workerCount / replicas));
  const allowed = Array.from({ length: mayShare ? workerCount : 1 }, (_, index) => index + 1).filter(
    count => count <= options.batchSize,
  );
  // Of several numbers of replicas with equally many workers each, the others leave workers without work.
  const isLargest = (replicas: number) =>
    !allowed.includes(replicas + 1) || workersOf(replicas + 1) < workersOf(replicas);
  const halvings = new Set(allowed.map((_, times) => Math.floor(workerCount / 2 ** times)));
  const candidates = allowed
    .filter(replicas => replicas === 1 || isLargest(replicas) || halvings.has(replicas))
    .flatMap(replicas =>
      [...new Set([1, workersOf(replicas)])].flatMap(workers =>
        SCHEDULES.map(scheduleKind)
          .filter(
            ({ stagesPerWorker }) =>
              stagesPerWorker === 1 ||
              (workers > 1 &&
                isLargest(replicas) &&
                stagesPerWorker * workers <= Math.min(most, MOST_STAGES_IN_TURNS)),
          )
          .map(kind => ({ shape: { replicas, workers }, kind })),
      ),
    );
  const memory = new ModelMemory(graph, request.compile.optimizer);
  const problem = partitionProblem(graph);
  const plans = [
    ...thoseThatFit(candidates, ({ shape, kind }) => ({
      ...predict(request, shape, kind, { costs, memory, problem }),
      handicap: kind.stagesPerWorker === 1 ? 1 : HANDICAP,
    })),
  ];
  return plans
    .sort((one, other) => one.predictedMs * one.handicap - other.predictedMs * other.handicap)
    .map(({ plan, predictedMs }) => ({ plan, predictedMs }));
}

function predict(
  request: PlanRequest,
  { replicas, workers }: Shape,
  kind: ScheduleKind,
  { costs, memory, problem }: Pick<PlanQuestion, 'costs' | 'memory' | 'problem'>,
): PredictedPlan {
  const stageCount = workers * kind.stagesPerWorker;
  const shaped = { ...request, stageCount, replicas };
  const { graph, options, coupling } = request;
  const question = questionOf(shaped, {
    problem,
    memory,
    statedCuts: stageCount === 1 ? [] : undefined,
    microBatchCounts: allowedMicroBatches(graph, options, stageCount, coupling).microBatchCounts,
    scheduleOf: schedulesOf(kind, stageCount, workers),
  });
  const { periodMs, ...choice } = choosePlan({ ...question, costs });
  return { plan: assemblePlan(request, { ...choice, replicas }), predictedMs: periodMs };
}
