/** Draws what workers do as slices of time, and tells of the one that is pointed at or chosen by the keyboard. */
import type { PageData, PageRun } from '../html/page-data.js';
import { formatMs, listOf } from './format.js';
import { type Colours, kindOf } from './kinds.js';
import type { LaneLayout, LanePainter } from './lanes.js';
import type { Slice, Slices } from './slices.js';
import type { TimeWindow } from './time-window.js';
import type { Tip } from './tooltip.js';

/** Mini-batches of which one is looked at; the others are shown as far as they overlap it. */
export interface Scene {
  readonly runs: readonly PageRun[];
  readonly chosen: PageRun;
}

const LETTER_LANE_PX = 12;
/** Over the colours of every second stage of a worker. */
const SECOND_STAGE_TINT = 'rgb(255 255 255 / 0.3)';
const TEXT_MARGIN_PX = 4;
const NEIGHBOUR_ALPHA = 0.28;

export interface SlicePainterParts {
  readonly data: PageData;
  readonly slices: Slices;
  readonly colours: Colours;
  readonly window: TimeWindow;
  /** Whether a lane may hold several stages, which then have to be told apart. */
  readonly namesStages: boolean;
  /** What the same call was expected to take, or did take. */
  readonly other: (slice: Slice) => readonly [label: string, value: string] | undefined;
  /** Shows the tip of a slice that the keyboard has chosen. */
  readonly onChoose: (tip: Tip, x: number, y: number) => void;
}

export class SlicePainter implements LanePainter {
  readonly #parts: SlicePainterParts;
  #scene: Scene;
  #chosen: Slice | undefined;

  constructor(parts: SlicePainterParts, scene: Scene) {
    this.#parts = parts;
    this.#scene = scene;
  }

  show(scene: Scene): void {
    this.#scene = scene;
    this.#chosen = undefined;
  }

  paint(context: CanvasRenderingContext2D, layout: LaneLayout): void {
    const { runs, chosen } = this.#scene;
    for (const run of runs) {
      if (run !== chosen) this.#paintRun(context, layout, run, NEIGHBOUR_ALPHA);
    }
    this.#paintRun(context, layout, chosen, 1);
    if (this.#chosen !== undefined) this.#outline(context, layout, this.#chosen);
  }

  at(worker: number, ms: number, { width }: LaneLayout): Tip | undefined {
    const { window: shown } = this.#parts;
    const slackMs = (2 / width) * shown.spanMs;
    const absoluteMs = ms + this.#scene.chosen.startMs;
    for (const run of [this.#scene.chosen, ...this.#scene.runs]) {
      const found = this.#visible(run, worker, absoluteMs - slackMs, absoluteMs + slackMs);
      const exact = found.find(({ startMs, endMs }) => startMs <= absoluteMs && absoluteMs <= endMs);
      const slice = exact ?? found[0];
      if (slice !== undefined) return this.#tip(slice);
    }
    return undefined;
  }

  key(event: KeyboardEvent, layout: LaneLayout): boolean {
    const lanes = this.#parts.slices.of(this.#scene.chosen);
    const worker = this.#chosen?.worker ?? 0;
    const lane = lanes[worker]!;
    const index = this.#chosen === undefined ? -1 : lane.indexOf(this.#chosen);
    const moves: Readonly<Record<string, () => Slice | undefined>> = {
      ArrowRight: () => lane[Math.min(lane.length - 1, index + 1)],
      ArrowLeft: () => lane[Math.max(0, index - 1)],
      ArrowDown: () => nearest(lanes[Math.min(lanes.length - 1, worker + 1)]!, this.#chosen),
      ArrowUp: () => nearest(lanes[Math.max(0, worker - 1)]!, this.#chosen),
      Home: () => lane[0],
      End: () => lane.at(-1),
    };
    const next = moves[event.key]?.();
    const { window: shown, onChoose } = this.#parts;
    if (event.key === 'Escape') {
      this.#chosen = undefined;
      shown.changed();
      return true;
    }
    if (next === undefined) return false;
    this.#chosen = next;
    const { startMs } = this.#scene.chosen;
    shown.reveal(next.startMs - startMs, next.endMs - startMs);
    shown.changed();
    onChoose(this.#tip(next), layout.x(next.endMs - startMs), layout.top(next.worker) + layout.laneHeight);
    return true;
  }

  #paintRun(context: CanvasRenderingContext2D, layout: LaneLayout, run: PageRun, alpha: number): void {
    const { window: shown, slices } = this.#parts;
    const { startMs } = this.#scene.chosen;
    const [fromMs, toMs] = [shown.fromMs + startMs, shown.toMs + startMs];
    context.globalAlpha = alpha;
    for (let worker = 0; worker < slices.of(run).length; worker++) {
      for (const slice of this.#visible(run, worker, fromMs, toMs)) this.#paintSlice(context, layout, slice);
    }
    context.globalAlpha = 1;
  }

  #paintSlice(context: CanvasRenderingContext2D, layout: LaneLayout, slice: Slice): void {
    const { colours, namesStages } = this.#parts;
    const { action, worker } = slice;
    const kind = kindOf(action.kind);
    const left = layout.x(slice.startMs - this.#scene.chosen.startMs);
    const width = Math.max(0.6, layout.x(slice.endMs - this.#scene.chosen.startMs) - left);
    const margin = layout.laneHeight >= LETTER_LANE_PX ? 2 : 0.5;
    const top = layout.top(worker) + margin;
    const height = layout.laneHeight - 2 * margin;
    context.fillStyle = colours.of(kind.colour);
    if (action.kind === 'receive') {
      const line = Math.max(1, Math.round(height / 12));
      context.fillRect(left, top + (height - line) / 2, width, line);
      return;
    }
    const inset = action.kind === 'send' ? height * 0.22 : 0;
    // A gap between neighbours, where there is room for one.
    const box = [left, top + inset, width > 3 ? width - 1 : width, height - 2 * inset] as const;
    context.fillRect(...box);
    if (this.#isSecond(action.stage)) {
      context.fillStyle = SECOND_STAGE_TINT;
      context.fillRect(...box);
    }
    if (layout.laneHeight < LETTER_LANE_PX || action.kind === 'send') return;
    context.font = '600 11px system-ui, sans-serif';
    const short = `${kind.letter}${action.microBatches.join(',')}`;
    const texts = namesStages ? [`${action.stage}${short}`, short] : [short];
    const text = texts.find(candidate => context.measureText(candidate).width <= width - TEXT_MARGIN_PX);
    if (text === undefined) return;
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    context.fillStyle = kind.ink;
    context.fillText(text, left + width / 2, top + height / 2 + 0.5);
  }

  #outline(context: CanvasRenderingContext2D, layout: LaneLayout, { startMs, endMs, worker }: Slice): void {
    const offset = this.#scene.chosen.startMs;
    const left = layout.x(startMs - offset);
    context.strokeStyle = this.#parts.colours.of('--ink');
    context.lineWidth = 2;
    context.strokeRect(
      left,
      layout.top(worker) + 1,
      Math.max(3, layout.x(endMs - offset) - left),
      layout.laneHeight - 2,
    );
  }

  #isSecond(stage: number): boolean {
    const { namesStages, data } = this.#parts;
    if (!namesStages) return false;
    const { worker } = data.stages[stage]!;
    return data.stages.slice(0, stage).filter(other => other.worker === worker).length % 2 === 1;
  }

  /** Slices of one lane that touch a stretch of time, which they are in the order of. */
  #visible(run: PageRun, worker: number, fromMs: number, toMs: number): readonly Slice[] {
    const lane = this.#parts.slices.of(run)[worker]!;
    let first = 0;
    for (let end = lane.length; first < end; ) {
      const middle = (first + end) >> 1;
      if (lane[middle]!.endMs < fromMs) first = middle + 1;
      else end = middle;
    }
    let last = first;
    while (last < lane.length && lane[last]!.startMs <= toMs) last++;
    return lane.slice(first, last);
  }

  #tip(slice: Slice): Tip {
    const { action, run, worker, startMs, endMs } = slice;
    const kind = kindOf(action.kind);
    const { layers } = this.#parts.data.stages[action.stage]!;
    const other = this.#parts.other(slice);
    const rows: (readonly [string, string])[] = [
      ['took', formatMs(endMs - startMs)],
      ...(other === undefined ? [] : [other]),
      ['starts at', formatMs(startMs - run.startMs)],
      ['worker', String(worker)],
      ['stage', `${action.stage}: ${shortened(layers)}`],
      ...(action.replica > 0 ? [['replica', String(action.replica)] as const] : []),
      ...(run.step === undefined ? [] : [['step', String(run.step)] as const]),
    ];
    return { title: titleOf(slice), colour: kind.colour, rows };
  }
}

function titleOf({ action }: Slice): string {
  const { name } = kindOf(action.kind);
  const { microBatches, pass, peer } = action;
  const which =
    microBatches.length === 0
      ? ''
      : `micro-batch${microBatches.length === 1 ? '' : 'es'} ${listOf(microBatches)}`;
  if (pass === undefined) return which === '' ? name : `${name}, ${which}`;
  const what = { forward: 'activations', backward: 'gradients' }[pass] ?? pass.replace('-', ' ');
  const side = peer === 'driver' ? 'the driver' : `stage ${peer}`;
  const [verb, link] = action.kind === 'send' ? ['send', 'to'] : ['wait for', 'from'];
  return `${verb} ${what}${which === '' ? '' : ` of ${which}`} ${link} ${side}`;
}

function shortened(layers: readonly string[]): string {
  return layers.length <= 3 ? layers.join(', ') : `${layers[0]} … ${layers.at(-1)} (${layers.length})`;
}

/** The slice of another lane that is going on when this one starts. */
function nearest(lane: readonly Slice[], to: Slice | undefined): Slice | undefined {
  if (to === undefined) return lane[0];
  return lane.find(({ endMs }) => endMs > to.startMs) ?? lane.at(-1);
}
