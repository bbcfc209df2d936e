/** Timelines of runs that never were: the simulator's times, disturbed, in the place of a trainer's. */
import type { Plan } from 'millrace';
import { Timeline } from '#internal/report/timeline/index.js';
import type { RecordedStep } from '#internal/scheduler/driver/step-recorder.js';
import {
  actionCostOf,
  chainTopology,
  generateSchedule,
  lower,
  type PlanCosts,
  place,
  predict,
  simulate,
  unitCost,
} from '#internal/scheduler/plan/index.js';

export interface MadeUp {
  readonly stageCount?: number;
  readonly workerCount?: number;
  readonly microBatchCount?: number;
  readonly schedule?: string;
  readonly stepCount?: number;
  /** Whether the plan knows what its stages cost. */
  readonly isMeasured?: boolean;
  /** By how much times are disturbed, as a part of them. */
  readonly noise?: number;
  /** Samples of the last mini-batch; those of the others if not given. */
  readonly lastRows?: number;
}

const ROWS_PER_MICRO_BATCH = 8;
/** Where the process's clock happens to stand. */
const ORIGIN_MS = 123_456;

export function madeUpTimeline({
  stageCount = 2,
  workerCount = stageCount,
  microBatchCount = 4,
  schedule: name = 'zero-bubble',
  stepCount = 6,
  isMeasured = true,
  noise = 0,
  lastRows,
}: MadeUp = {}): Timeline {
  const workerOfStage = place(stageCount, workerCount);
  const schedule = generateSchedule(name as '1f1b', { stageCount, microBatchCount, workerOfStage });
  const programs = lower(schedule, chainTopology(stageCount));
  const costs = isMeasured ? costsOf(stageCount, microBatchCount) : undefined;
  const plan: Plan = {
    backend: 'wasm',
    backendReason: 'made up',
    backendVersion: '4.22.0',
    workers: workerCount,
    replicas: 1,
    microBatches: microBatchCount,
    schedule,
    recompute: 'never',
    workerBytes: [3_000_000],
    layerCalls: 1,
    cuts: [],
    stages: workerOfStage.map((worker, stage) => ({
      stage,
      worker,
      layers: [`dense_${2 * stage}`, `dense_${2 * stage + 1}`],
      parameters: 16_512,
      weightBytes: 66_048,
      incomingBytesPerSample: stage === 0 ? 0 : 512,
      activationBytesPerSample: 1024 * (1 + (stage % 3)),
      predictedMs: undefined,
      share: undefined,
    })),
    candidates: [],
    isSettled: true,
    costs,
    prediction: undefined,
    explain: () => '',
  };
  const predictFor: ConstructorParameters<typeof Timeline>[0]['predict'] = microBatchRows => {
    const rows = microBatchRows?.reduce((sum, count) => sum + count, 0) ?? costs?.batchSize ?? 0;
    const cost = costs === undefined ? unitCost : actionCostOf(costs, microBatchRows);
    return { programs, ...predict(programs, rows, cost), isMeasured };
  };

  const random = mulberry(7);
  const cost = actionCostOf(costsOf(stageCount, microBatchCount));
  const simulation = simulate(programs, {
    cost: action => cost(action) * (1 + noise * random()),
    miniBatchCount: Math.max(1, stepCount),
  });
  const recorded = Array.from({ length: stepCount }, (_, step): RecordedStep => {
    const isLast = step === stepCount - 1;
    const rows = isLast && lastRows !== undefined ? lastRows : microBatchCount * ROWS_PER_MICRO_BATCH;
    return {
      step: 100 + step,
      rows,
      microBatchRows: rowsOf(rows),
      programs,
      times: Float64Array.from(
        programs.flatMap((program, worker) => {
          const { start, end } = simulation.times[worker]!;
          let before = ORIGIN_MS + (step === 0 ? 0 : end[step * program.length - 1]!);
          return program.flatMap((action, index) => {
            const position = step * program.length + index;
            // As workers do it: a receive starts when the one before has ended.
            const startMs = action.kind === 'receive' ? before : ORIGIN_MS + start[position]!;
            before = ORIGIN_MS + end[position]!;
            return [startMs, before];
          });
        }),
      ),
      outcome: { epoch: 0, batch: step, logs: { loss: 2.3 * 0.9 ** step * (1 + 0.1 * random()) } },
    };
  });
  return new Timeline({ modelName: `made up, ${stageCount} stages`, plan, recorded, predict: predictFor });
}

function costsOf(stageCount: number, microBatchCount: number): PlanCosts {
  const call = (ms: number) => ({ ms, msPerRow: ms / ROWS_PER_MICRO_BATCH });
  return {
    batchSize: microBatchCount * ROWS_PER_MICRO_BATCH,
    microBatchRows: ROWS_PER_MICRO_BATCH,
    stages: Array.from({ length: stageCount }, (_, stage) => {
      const size = 1 + 0.25 * Math.sin(stage);
      return {
        forward: call(2 * size),
        backwardInput: call(2.4 * size),
        backwardWeight: call(1.8 * size),
        accumulateMs: 0.1,
        stepMs: 0.9,
      };
    }),
    messages: Array.from({ length: stageCount - 1 }, () => call(0.2)),
    replicaMessageMs: Array.from({ length: stageCount }, () => 0),
  };
}

function rowsOf(rows: number): number[] {
  const sizes: number[] = [];
  for (let left = rows; left > 0; left -= ROWS_PER_MICRO_BATCH)
    sizes.push(Math.min(left, ROWS_PER_MICRO_BATCH));
  return sizes;
}

/** Numbers from 0 to 1 (mulberry32 by Tommy Ettinger), the same in every run. */
function mulberry(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}
