/** Draws how many micro-batches, or bytes of activations, each worker keeps, as an area in its lane. */
import type { PageRun } from '../html/page-data.js';
import { formatBytes, formatMs } from './format.js';
import type { Colours } from './kinds.js';
import type { LaneLayout, LanePainter } from './lanes.js';
import type { LivePoint, Slices } from './slices.js';
import type { Tip } from './tooltip.js';

export type MemoryUnit = 'microBatches' | 'bytes';

export class MemoryPainter implements LanePainter {
  readonly #slices: Slices;
  readonly #colours: Colours;
  #runs: readonly PageRun[] = [];
  #startMs = 0;
  unit: MemoryUnit = 'microBatches';

  constructor(slices: Slices, colours: Colours) {
    this.#slices = slices;
    this.#colours = colours;
  }

  show(runs: readonly PageRun[], startMs: number): void {
    this.#runs = runs;
    this.#startMs = startMs;
  }

  /** The most that any worker keeps, in both units. */
  peaks(): { readonly microBatches: number; readonly bytes: number } {
    const peak = { microBatches: 0, bytes: 0 };
    for (const { microBatches, bytes } of this.#runs.flatMap(run => this.#slices.live(run).flat())) {
      peak.microBatches = Math.max(peak.microBatches, microBatches);
      peak.bytes = Math.max(peak.bytes, bytes);
    }
    return peak;
  }

  paint(context: CanvasRenderingContext2D, layout: LaneLayout): void {
    const most = this.peaks()[this.unit];
    if (most === 0) return;
    const { laneHeight, width, x, top } = layout;
    const room = laneHeight - 2;
    context.fillStyle = this.#colours.of('--memory');
    for (const run of this.#runs) {
      for (const [worker, points] of this.#slices.live(run).entries()) {
        const floor = top(worker) + laneHeight - 1;
        for (const [index, point] of points.entries()) {
          // Whole pixels, so that no seams show between the steps of an area.
          const left = Math.floor(x(point.ms - this.#startMs));
          const right = Math.ceil(x((points[index + 1] ?? point).ms - this.#startMs));
          if (right < 0 || left > width) continue;
          const height = (point[this.unit] / most) * room;
          context.fillRect(left, floor - height, right - left, height);
        }
      }
    }
    context.fillStyle = this.#colours.of('--grid');
    for (let worker = 0; laneHeight > 10 && worker < this.#slices.live(this.#runs[0]!).length; worker++) {
      context.fillRect(0, top(worker) + laneHeight - 1, width, 1);
    }
  }

  at(worker: number, ms: number): Tip | undefined {
    const point = this.#pointAt(worker, ms + this.#startMs);
    if (point === undefined) return undefined;
    return {
      title: `worker ${worker} keeps`,
      colour: '--memory',
      rows: [
        ['micro-batches', String(point.microBatches)],
        ['activations', formatBytes(point.bytes)],
        ['at', formatMs(ms)],
      ],
    };
  }

  /** Mini-batches follow each other on a worker: the last one that has begun is the one that counts. */
  #pointAt(worker: number, ms: number): LivePoint | undefined {
    return this.#runs
      .map(run => this.#slices.live(run)[worker]!.findLast(point => point.ms <= ms))
      .findLast(point => point !== undefined);
  }
}
