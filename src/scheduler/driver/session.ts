/**
 * The driver's side of a session: it lays out the arena and the step board for one mode and one size of mini-batch, opens
 * the session in all workers, and holds the driver's ends of the channels.
 */
import { availableParallelism } from 'node:os';
import {
  type CutModel,
  inferShapes,
  maskSizes,
  replicaGradients,
  replicaMessage,
  sharedWeights,
  shareWeights,
  type WeightShares,
} from '../../model/index.js';
import type { Peer, Program } from '../../protocol/action.js';
import type { ChannelEnds, ChannelLayout } from '../../protocol/channel.js';
import { modelStageOf, replicaOf } from '../../protocol/replica.js';
import type { Schedule } from '../../protocol/schedule.js';
import type { RunMode, StageDurations } from '../../protocol/session.js';
import type { TensorHeader } from '../../protocol/tensor.js';
import {
  Arena,
  channelBytes,
  collectiveBytes,
  layOutChannel,
  layOutCollective,
  messageBytes,
  type ReceiveLink,
  type SendLink,
  SharedMemoryLinks,
  StepBoard,
  spinCountFor,
  Waiter,
} from '../../transport/index.js';
import {
  lower,
  planSlots,
  type RecomputeMode,
  replicateSchedule,
  slotCountsOf,
  validatePrograms,
} from '../plan/index.js';
import { replicaTopology } from './replica-topology.js';
import type { WorkerPool } from './worker-pool.js';

/** Mini-batches that may be under way: while the stages finish one, the first ones already work on the next. */
export const STEPS_IN_FLIGHT = 2;

/** What fixes the sizes in a session: everything but the number of samples left over at the end. */
export interface SessionGeometry {
  readonly mode: RunMode;
  /** Most rows of a micro-batch. */
  readonly microBatchRows: number;
  /** One per model input, without the batch axis. */
  readonly inputs: readonly TensorHeader[];
  /** One per model output, without the batch axis; none when predicting. */
  readonly targets: readonly TensorHeader[];
}

export interface SessionPlan {
  readonly cut: CutModel;
  /** Of one replica. */
  readonly schedule: Schedule;
  readonly replicas: number;
  readonly recompute: RecomputeMode;
  /** Entries of a stage's sums vector. */
  readonly sumCount: number;
  readonly stallTimeoutMs: number;
  readonly poison: boolean;
  readonly clipNorm: number | undefined;
  /** Whether batch normalizations of replicas see the mini-batch as a whole. */
  readonly synchronisesBatchNorm: boolean;
  readonly durations?: StageDurations;
}

/** Sums of running statistics and the like: a few numbers a channel. What is longer goes through in pieces. */
const COLLECTIVE_BLOCK_BYTES = 2 ** 16;

let nextSessionId = 0;

export class DriverSession {
  readonly id: number;
  readonly geometry: SessionGeometry;
  readonly programs: readonly Program[];
  readonly board: StepBoard;
  readonly arenaBytes: number;
  /** Of all replicas together. */
  readonly schedule: Schedule;
  /** Ends of the driver's channels, by stage. */
  readonly feeds: ReadonlyMap<number, SendLink>;
  readonly outputs: ReadonlyMap<number, ReceiveLink>;
  readonly pool: WorkerPool;
  /** Workers that take part: the first ones of the pool. */
  readonly workerCount: number;
  readonly stallTimeoutMs: number;
  /** Whether mini-batches of this mode and size fit into the slots. */
  readonly holds: (geometry: SessionGeometry) => boolean;
  /** Settles when the last run has left the workers, however it ended. */
  running: Promise<unknown> = Promise.resolve();

  private constructor(parts: Omit<DriverSession, 'running' | 'close'>) {
    this.id = parts.id;
    this.geometry = parts.geometry;
    this.programs = parts.programs;
    this.board = parts.board;
    this.arenaBytes = parts.arenaBytes;
    this.schedule = parts.schedule;
    this.feeds = parts.feeds;
    this.outputs = parts.outputs;
    this.pool = parts.pool;
    this.workerCount = parts.workerCount;
    this.stallTimeoutMs = parts.stallTimeoutMs;
    this.holds = parts.holds;
  }

  static async open(pool: WorkerPool, plan: SessionPlan, geometry: SessionGeometry): Promise<DriverSession> {
    const { cut, replicas, recompute, clipNorm } = plan;
    const { mode } = geometry;
    const shares = shareWeights(cut, replicas);
    const schedule = replicateSchedule(plan.schedule, replicas);
    const topology = replicaTopology(cut, replicas, shares, mode !== 'predict');
    const programs = lower(schedule, topology, { mode, recompute, globalNorm: clipNorm !== undefined });
    const slots = planSlots(programs);
    validatePrograms(programs, { ...schedule, mode, slotCounts: slotCountsOf(slots) });

    const sizes = { cut, shares };
    const sized = slots.map(channel => ({ ...channel, slotBytes: slotBytes(channel, sizes, geometry) }));
    const groupCount = replicas === 1 ? 0 : cut.stages.length;
    const arenaBytes = sized.reduce(
      (sum, { slotCount, slotBytes: bytes }) => sum + channelBytes(slotCount, bytes),
      2 * groupCount * collectiveBytes(replicas, COLLECTIVE_BLOCK_BYTES),
    );
    const arena = Arena.create(arenaBytes);
    const layOut = () => layOutCollective(arena, replicas, COLLECTIVE_BLOCK_BYTES);
    const collectives = Array.from({ length: groupCount }, () => ({ all: layOut(), active: layOut() }));
    const channels = sized.map(channel =>
      layOutChannel(arena, channel, channel.slotCount, channel.slotBytes),
    );
    const workerCount = schedule.orders.length;
    const board = StepBoard.create({
      workerCount,
      stageCount: schedule.stageCount,
      microBatchCount: schedule.microBatchCount * replicas,
      stepsInFlight: STEPS_IN_FLIGHT,
      sumCount: plan.sumCount,
      actionCount: Math.max(...programs.map(program => program.length)),
    });
    const id = nextSessionId++;
    try {
      await pool.all(
        (worker, index) =>
          worker.openSession({
            id,
            mode,
            stages: stagesOf(schedule, index),
            collectives: new Map(
              stagesOf(schedule, index).flatMap(stage => {
                const layout = collectives[modelStageOf(stage, cut.stages.length)];
                return layout === undefined ? [] : [[stage, layout]];
              }),
            ),
            synchronisesBatchNorm: plan.synchronisesBatchNorm,
            part: { replica: Math.floor(index / plan.schedule.orders.length), replicas },
            program: programs[index]!,
            arena: arena.memory,
            channels: channels.filter(channel => touches(channel, schedule, index)),
            board: board.buffer,
            boardLayout: board.layout,
            stallTimeoutMs: plan.stallTimeoutMs,
            spinCount: spinCountFor(workerCount, availableParallelism()),
            poison: plan.poison,
            ...(clipNorm === undefined ? {} : { clipNorm }),
            ...(plan.durations === undefined ? {} : { durations: plan.durations }),
          }),
        workerCount,
      );
    } catch (error) {
      // Those that did open it would keep its memory.
      if (!pool.isBroken) await pool.all(worker => worker.closeSession(id)).catch(() => {});
      throw error;
    }
    const links = new SharedMemoryLinks(arena, new Waiter(pool.control), { poison: plan.poison });
    return new DriverSession({
      id,
      geometry,
      programs,
      board,
      arenaBytes,
      schedule,
      pool,
      workerCount,
      stallTimeoutMs: plan.stallTimeoutMs,
      holds: capacityCheck(geometry, sized, sizes),
      feeds: new Map(
        channels.flatMap(layout =>
          layout.from === 'driver' ? [[layout.to as number, links.openSender(layout)]] : [],
        ),
      ),
      outputs: new Map(
        channels.flatMap(layout =>
          layout.to === 'driver' ? [[layout.from as number, links.openReceiver(layout)]] : [],
        ),
      ),
    });
  }

  async close(): Promise<void> {
    for (const link of [...this.feeds.values(), ...this.outputs.values()]) link.close();
    if (!this.pool.isBroken) await this.pool.all(worker => worker.closeSession(this.id));
  }
}

/** Compares sizes in bytes, so that a smaller batch of longer sequences, say, may fit as well. Remembers what it was asked. */
function capacityCheck(
  own: SessionGeometry,
  channels: readonly (ChannelEnds & { readonly slotBytes: number })[],
  sizes: SizeFacts,
): (geometry: SessionGeometry) => boolean {
  const known = new Map<string, boolean>();
  return geometry => {
    if (geometry.mode !== own.mode) return false;
    const key = JSON.stringify(geometry);
    let fits = known.get(key);
    if (fits === undefined) {
      fits = channels.every(channel => slotBytes(channel, sizes, geometry) <= channel.slotBytes);
      known.set(key, fits);
    }
    return fits;
  };
}

export function stagesOf(schedule: Schedule, worker: number): number[] {
  return schedule.workerOfStage.flatMap((owner, stage) => (owner === worker ? [stage] : []));
}

function touches({ from, to }: ChannelLayout, { workerOfStage }: Schedule, worker: number): boolean {
  return [from, to].some(end => end !== 'driver' && workerOfStage[end] === worker);
}

/** What sizes of messages follow from, beside the geometry. */
interface SizeFacts {
  readonly cut: CutModel;
  /** See `shareWeights`. */
  readonly shares: WeightShares;
}

/** Bytes of the largest message of a channel. */
function slotBytes(channel: ChannelEnds, { cut, shares }: SizeFacts, geometry: SessionGeometry): number {
  const { graph } = cut;
  const stageCount = cut.stages.length;
  const { pass } = channel;
  // All replicas send the same.
  const [from, to] = [channel.from, channel.to].map(end =>
    end === 'driver' ? end : modelStageOf(end, stageCount),
  ) as [Peer, Peer];
  const rows = geometry.microBatchRows;
  const batched = ({ dtype, shape }: TensorHeader): TensorHeader => ({ dtype, shape: [rows, ...shape] });
  const ofStage = (stage: number) => cut.stages[stage]!;
  const shapes = inferShapes(
    graph,
    geometry.inputs.map(({ shape }) => [rows, ...shape]),
  );
  const float = (id: number): TensorHeader => ({ dtype: 'float32', shape: shapes[id]! });
  if (from === 'driver') {
    const { inputs, outputs } = ofStage(to as number);
    return messageBytes([
      ...inputs.map(input => batched(geometry.inputs[input]!)),
      ...outputs.flatMap((output): TensorHeader[] => {
        const target = geometry.targets[output];
        if (target === undefined) return [];
        return [batched(target), { dtype: 'float32', shape: [rows] }];
      }),
    ]);
  }
  if (to === 'driver')
    return messageBytes(ofStage(from).outputs.map(output => float(graph.outputs[output]!)));
  if (pass === 'partial-norm' || pass === 'total-norm') return messageBytes([SCALAR]);
  if (pass === 'tied-gradient') return tiedBytes(cut, to, from);
  if (pass === 'tied-weight') return tiedBytes(cut, from, to);
  if (pass === 'replica-gradient') {
    const stepper = replicaOf(channel.to as number, stageCount);
    return messageBytes(replicaGradients(replicaMessage(cut, to, stepper, shares)));
  }
  if (pass === 'replica-weight') return messageBytes([]);
  const [earlier, later] = pass === 'forward' ? [from, to] : [to, from];
  const { values, gradientValues } = cut.edges.find(edge => edge.from === earlier && edge.to === later)!;
  if (pass === 'backward') return messageBytes(gradientValues.map(float));
  const masks = maskSizes(graph, shapes);
  return messageBytes(values.flatMap(id => [float(id), { dtype: 'float32', shape: [masks[id]!] }]));
}

const SCALAR: TensorHeader = { dtype: 'float32', shape: [] };

function tiedBytes(cut: CutModel, owner: number, user: number): number {
  return messageBytes(
    sharedWeights(cut, owner, user).map(({ shape }): TensorHeader => ({ dtype: 'float32', shape })),
  );
}
