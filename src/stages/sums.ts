/** Collects what one stage reports of a mini-batch: see `protocol/sums-layout.ts`. */
import * as tf from '@tensorflow/tfjs';
import type { SumsLayout } from '../protocol/sums-layout.js';
import type { OutputFunctions } from './functions.js';

/** Collects one stage's sums over the micro-batches of a mini-batch. */
export class SumsRecorder {
  readonly #layout: SumsLayout;
  readonly #functions: readonly OutputFunctions[];
  readonly #sums: Float64Array;
  /** Targets and outputs kept for metrics that need the whole mini-batch, by output. */
  readonly #gathered = new Map<number, { targets: tf.Tensor[]; outputs: tf.Tensor[] }>();

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

  /** Evaluates the metrics of one output for one micro-batch; keeps copies where a metric needs all of them. */
  addMetrics(
    output: number,
    target: tf.Tensor,
    prediction: tf.Tensor,
    rows: number,
    microBatchCount: number,
  ): void {
    const { metrics } = this.#functions[output]!;
    for (const [index, { evaluate, decomposable }] of metrics.entries()) {
      if (!decomposable && microBatchCount > 1) continue;
      this.#sums[this.#layout.metric(output, index)]! += meanOf(evaluate, target, prediction) * rows;
    }
    if (microBatchCount > 1 && metrics.some(metric => !metric.decomposable)) {
      const kept = this.#gathered.get(output) ?? { targets: [], outputs: [] };
      // Copies, not clones: a clone may go on reading a slot that is released before the mini-batch ends.
      kept.targets.push(tf.keep(copyOf(target)));
      kept.outputs.push(tf.keep(copyOf(prediction)));
      this.#gathered.set(output, kept);
    }
  }

  /** Adds everything to `into` and starts over. */
  flush(into: Float64Array, rows: number): void {
    for (const [output, { targets, outputs }] of this.#gathered) {
      const { metrics } = this.#functions[output]!;
      tf.tidy(() => {
        const target = tf.concat(targets, 0);
        const prediction = tf.concat(outputs, 0);
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
    this.#gathered.clear();
  }
}

function meanOf(evaluate: OutputFunctions['loss'], target: tf.Tensor, prediction: tf.Tensor): number {
  return tf.tidy(() => tf.mean(evaluate(target, prediction)).dataSync()[0]!);
}

function copyOf(tensor: tf.Tensor): tf.Tensor {
  return tf.tensor(tensor.dataSync().slice(), tensor.shape, tensor.dtype as 'float32');
}
