/** Collects what one stage reports of a mini-batch: see `protocol/sums-layout.ts`. */

import type { SumsLayout } from '../protocol/sums-layout.js';
import { tf } from '../tf.js';
import type { OutputFunctions } from './functions.js';
import type { ReplicaGroup } from './replica-group.js';

/** Collects one stage's sums over the micro-batches of a mini-batch. */
export class SumsRecorder {
  readonly #layout: SumsLayout;
  readonly #functions: readonly OutputFunctions[];
  readonly #sums: Float64Array;
  /** Targets and outputs kept for metrics that need the whole mini-batch, by output. */
  #gathered = new Map<number, { targets: tf.Tensor[]; outputs: tf.Tensor[] }>();

  constructor(layout: SumsLayout, functions: readonly OutputFunctions[]) {
    this.#layout = layout;
    this.#functions = functions;
    this.#sums = new Float64Array(layout.count);
  }

  addLoss(output: number, meanLoss: number, rows: number): void {
    this.#sums[this.#layout.loss(output)]! += meanLoss * rows;
  }

  addPenalty(penalty: number): void {
    this.#sums[this.#layout.penalty]! += penalty;
  }

  /**
   * Evaluates the metrics of one output for one micro-batch; keeps copies where a metric needs all of them.
   *
   * @param isWhole whether the micro-batch is all of the mini-batch
   */
  addMetrics(output: number, target: tf.Tensor, prediction: tf.Tensor, rows: number, isWhole: boolean): void {
    const { metrics } = this.#functions[output]!;
    for (const [index, { evaluate, decomposable }] of metrics.entries()) {
      if (!decomposable && !isWhole) continue;
      this.#sums[this.#layout.metric(output, index)]! += meanOf(evaluate, target, prediction) * rows;
    }
    if (!isWhole && metrics.some(metric => !metric.decomposable)) {
      const kept = this.#gathered.get(output) ?? { targets: [], outputs: [] };
      // Copies, not clones: a clone may go on reading a slot that is released before the mini-batch ends.
      kept.targets.push(tf.keep(copyOf(target)));
      kept.outputs.push(tf.keep(copyOf(prediction)));
      this.#gathered.set(output, kept);
    }
  }

  /**
   * Adds everything to `into` and starts over.
   *
   * @param rows of the mini-batch
   * @param firstSample position of this replica's first sample in it
   */
  flush(into: Float64Array, rows: number, firstSample: number, group: ReplicaGroup | undefined): void {
    for (const [output, { targets, outputs }] of this.#gathered) {
      const { metrics } = this.#functions[output]!;
      tf.tidy(() => {
        const own = [tf.concat(targets, 0), tf.concat(outputs, 0)] as const;
        const [target, prediction] =
          group === undefined || group.activeCount === 1
            ? own
            : (own.map(part => ofAllReplicas(part, rows, firstSample, group)) as [tf.Tensor, tf.Tensor]);
        // One replica tells it for all.
        if (group !== undefined && group.replica > 0) return;
        for (const [index, { evaluate, decomposable }] of metrics.entries()) {
          if (decomposable) continue;
          this.#sums[this.#layout.metric(output, index)]! += meanOf(evaluate, target, prediction) * rows;
        }
      });
    }
    for (const [index, sum] of this.#sums.entries()) into[index]! += sum;
    this.reset();
  }

  reset(): void {
    this.#sums.fill(0);
    for (const { targets, outputs } of this.#gathered.values()) tf.dispose([...targets, ...outputs]);
    // A new one: see `GradientSums.clear`.
    this.#gathered = new Map();
  }
}

function meanOf(evaluate: OutputFunctions['loss'], target: tf.Tensor, prediction: tf.Tensor): number {
  return tf.tidy(() => tf.mean(evaluate(target, prediction)).dataSync()[0]!);
}

function copyOf(tensor: tf.Tensor): tf.Tensor {
  return tf.tensor(tensor.dataSync().slice(), tensor.shape, tensor.dtype as 'float32');
}

/** The samples of all replicas, in order: each puts its own in their place among zeros, and the sum is all of them. */
function ofAllReplicas(own: tf.Tensor, rows: number, firstSample: number, group: ReplicaGroup): tf.Tensor {
  const [ownRows, ...sample] = own.shape;
  const sampleSize = own.size / ownRows!;
  const all = new Float32Array(rows * sampleSize);
  all.set(own.dataSync(), firstSample * sampleSize);
  group.sumOverActive(all);
  return tf.cast(tf.tensor(all, [rows, ...sample]), own.dtype);
}
