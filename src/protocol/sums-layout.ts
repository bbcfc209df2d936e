/**
 * What a stage reports of a mini-batch: a vector of sums over samples, which the driver adds over stages and divides by
 * the rows.
 *
 *     [ loss of output 0 … ][ metrics of output 0 …, metrics of output 1 … ][ penalty ]
 *
 * Losses and metrics are means times rows. The penalty (weight regularizers) is no mean: it stands as it is.
 */
export class SumsLayout {
  readonly outputCount: number;
  readonly #firstMetric: readonly number[];
  readonly count: number;

  constructor(metricCounts: readonly number[]) {
    this.outputCount = metricCounts.length;
    const firstMetric: number[] = [];
    let next = this.outputCount;
    for (const count of metricCounts) {
      firstMetric.push(next);
      next += count;
    }
    this.#firstMetric = firstMetric;
    this.count = next + 1;
  }

  loss(output: number): number {
    return output;
  }

  metric(output: number, metric: number): number {
    return this.#firstMetric[output]! + metric;
  }

  /** All metrics stand together, in order of outputs. */
  get metricCount(): number {
    return this.penalty - this.outputCount;
  }

  get penalty(): number {
    return this.count - 1;
  }
}
