// @ts-check
/**
 * How much is lost by cutting a model in the one order in which it lists its layers. A stage could be any set of layers, as long as
 * no stage needs a later one: for a chain that is the same thing, for branches it is not. Small graphs can be searched whole.
 */
import { partitionByTime } from '#internal/scheduler/plan/index.js';

/**
 * @typedef {object} Graph units in topological order
 * @property {readonly number[]} ms by unit, forward and backward
 * @property {readonly number[]} bytes by unit, of the value that it makes
 * @property {readonly (readonly number[])[]} reads by unit, the earlier units that it reads
 */

/** @typedef {import('#internal/scheduler/plan/index.js').TransportCost} TransportCost */

/**
 * The least possible time of the slowest stage, over all ways to deal units to stages so that nothing is read before it is made.
 * Takes stageCount to the power of the number of units, at the most.
 * @param {Graph} graph
 * @param {number} stageCount
 * @param {TransportCost} transport
 */
export function leastAcyclicBottleneck({ ms, bytes, reads }, stageCount, transport) {
  const stageOf = ms.map(() => 0);
  const workMs = Array.from({ length: stageCount }, () => 0);
  let least = Number.POSITIVE_INFINITY;
  /** @param {number} unit */
  const deal = unit => {
    if (unit === ms.length) {
      if (workMs.every((_, stage) => stageOf.includes(stage)))
        least = Math.min(least, slowest(workMs, boundaries(stageOf)));
      return;
    }
    const unitMs = /** @type {number} */ (ms[unit]);
    const inputs = /** @type {readonly number[]} */ (reads[unit]);
    const first = Math.max(0, ...inputs.map(input => /** @type {number} */ (stageOf[input])));
    for (let stage = first; stage < stageCount; stage++) {
      const withoutMs = /** @type {number} */ (workMs[stage]);
      // Transport only adds to it.
      if (withoutMs + unitMs >= least) continue;
      stageOf[unit] = stage;
      workMs[stage] = withoutMs + unitMs;
      deal(unit + 1);
      workMs[stage] = withoutMs;
    }
  };
  /** @param {readonly number[]} stages by unit; what crosses each boundary between stages costs, on both of its sides */
  const boundaries = stages =>
    Array.from({ length: stageCount - 1 }, (_, index) => {
      const isBehind = (/** @type {number} */ unit) => /** @type {number} */ (stages[unit]) > index;
      const crossing = bytes.filter(
        (_, unit) => !isBehind(unit) && reads.some((from, reader) => isBehind(reader) && from.includes(unit)),
      );
      return transport.msPerMessage + transport.msPerByte * crossing.reduce((sum, size) => sum + size, 0);
    });
  deal(0);
  return least;
}

/**
 * @param {readonly number[]} workMs by stage
 * @param {readonly number[]} boundaryMs by boundary
 */
function slowest(workMs, boundaryMs) {
  return Math.max(
    ...workMs.map((work, stage) => work + (boundaryMs[stage - 1] ?? 0) + (boundaryMs[stage] ?? 0)),
  );
}

/**
 * The same over contiguous cuts of the given order, by the planner's dynamic programme.
 * @param {Graph} graph
 * @param {number} stageCount
 * @param {TransportCost} transport
 */
export function contiguousBottleneck({ ms, bytes, reads }, stageCount, transport) {
  const allowedCuts = ms.slice(1).map((_, index) => index + 1);
  const cutBytes = allowedCuts.map(cut =>
    bytes.reduce((sum, size, unit) => {
      const crosses = unit < cut && reads.some((from, reader) => reader >= cut && from.includes(unit));
      return sum + (crosses ? size : 0);
    }, 0),
  );
  const units = ms.map((forwardMs, unit) => ({
    name: `unit ${unit}`,
    layerNames: [`unit ${unit}`],
    parameters: 0,
    forwardMs,
    backwardMs: 0,
  }));
  return partitionByTime({ units, allowedCuts, cutBytes }, stageCount, { transport }).bottleneckMs;
}
