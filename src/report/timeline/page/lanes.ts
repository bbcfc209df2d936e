/**
 * A canvas with a lane for each worker, an axis of time above it and the workers' names beside it. What is drawn in the lanes
 * is a painter's; zooming, panning and pointing are the same for all.
 */
import { element } from './dom.js';
import { formatNumber } from './format.js';
import type { Colours } from './kinds.js';
import { type TimeWindow, ticks } from './time-window.js';
import type { Tip, Tooltip } from './tooltip.js';

const AXIS_PX = 22;
/** Of all lanes together, where lanes of a height that can be read allow it. */
const WANTED_PX = 300;
const LANE_PX = { least: 7, most: 34 } as const;
/** Lanes lower than this have no room for every name. */
const NAMED_LANE_PX = 13;
const TICK_PX = 110;
const ZOOM_STEP = 1.3;
const PAN_STEP = 0.15;
/** What the wheel tells for one notch, about. */
const WHEEL_NOTCH = 100;

/** Where things are on the canvas, in CSS pixels. */
export interface LaneLayout {
  readonly width: number;
  readonly laneHeight: number;
  readonly top: (worker: number) => number;
  readonly x: (ms: number) => number;
}

export interface LanePainter {
  /** Called with the canvas cleared and clipped to the lanes. */
  paint(context: CanvasRenderingContext2D, layout: LaneLayout): void;
  /** What is there, if anything. */
  at(worker: number, ms: number, layout: LaneLayout): Tip | undefined;
  /** @returns whether the key meant something to it */
  key?(event: KeyboardEvent, layout: LaneLayout): boolean;
}

export interface LanesParts {
  readonly id: string;
  readonly title: string;
  /** For those who cannot see it. */
  readonly description: string;
  readonly workers: number;
  readonly window: TimeWindow;
  readonly colours: Colours;
  readonly tooltip: Tooltip;
  readonly painter: LanePainter;
}

export class Lanes {
  readonly root: HTMLElement;
  readonly #aside = element('span', { class: 'aside' });
  readonly #parts: LanesParts;
  readonly #canvas: HTMLCanvasElement;
  readonly #laneHeight: number;

  constructor(parts: LanesParts) {
    const { id, title, description, workers, window: shown } = parts;
    this.#parts = parts;
    this.#laneHeight = Math.max(LANE_PX.least, Math.min(LANE_PX.most, Math.floor(WANTED_PX / workers)));
    this.#canvas = element('canvas', {
      id: `${id}-canvas`,
      tabindex: 0,
      role: 'application',
      'aria-roledescription': 'timeline',
      'aria-label': description,
      'aria-describedby': 'keys',
    });
    const every = Math.ceil(NAMED_LANE_PX / this.#laneHeight);
    const names = Array.from({ length: workers }, (_, worker) =>
      element(
        'li',
        {
          'data-worker': worker,
          style: `height: ${this.#laneHeight}px`,
          class: worker % every === 0 ? undefined : 'unnamed',
        },
        `worker ${worker}`,
      ),
    );
    this.root = element(
      'div',
      { class: 'lanes', id },
      element('h3', {}, title, this.#aside),
      element(
        'div',
        { class: 'lanes-body' },
        element('ol', { class: 'lane-names', style: `padding-top: ${AXIS_PX}px`, start: 0 }, ...names),
        element('div', { class: 'lane-canvas', style: `height: ${this.#height}px` }, this.#canvas),
      ),
    );
    shown.onChange(() => this.draw());
    new ResizeObserver(() => this.draw()).observe(this.#canvas.parentElement!);
    this.#listen();
  }

  get #height(): number {
    return AXIS_PX + this.#laneHeight * this.#parts.workers;
  }

  /** Says something behind the title. */
  say(text: string): void {
    this.#aside.textContent = text;
  }

  draw(): void {
    const { painter, window: shown, colours } = this.#parts;
    const layout = this.#layout();
    const { width } = layout;
    if (width === 0) return;
    const scale = window.devicePixelRatio;
    this.#canvas.width = Math.round(width * scale);
    this.#canvas.height = Math.round(this.#height * scale);
    const context = this.#canvas.getContext('2d')!;
    context.scale(scale, scale);
    this.#drawAxis(context, layout);
    context.save();
    context.beginPath();
    context.rect(0, AXIS_PX, width, this.#height - AXIS_PX);
    context.clip();
    painter.paint(context, layout);
    context.restore();
    if (shown.cursorMs === undefined) return;
    context.fillStyle = colours.of('--ink');
    context.globalAlpha = 0.55;
    context.fillRect(Math.round(layout.x(shown.cursorMs)), AXIS_PX - 4, 1, this.#height);
    context.globalAlpha = 1;
  }

  #layout(): LaneLayout {
    const { window: shown } = this.#parts;
    const width = this.#canvas.clientWidth;
    return {
      width,
      laneHeight: this.#laneHeight,
      top: worker => AXIS_PX + worker * this.#laneHeight,
      x: ms => ((ms - shown.fromMs) / shown.spanMs) * width,
    };
  }

  #drawAxis(context: CanvasRenderingContext2D, { width, x }: LaneLayout): void {
    const { window: shown, colours } = this.#parts;
    context.font = '11px system-ui, sans-serif';
    context.textBaseline = 'middle';
    context.textAlign = 'center';
    for (const ms of ticks(shown.fromMs, shown.toMs, width / TICK_PX)) {
      const at = Math.round(x(ms));
      context.fillStyle = colours.of('--grid');
      context.fillRect(at, AXIS_PX - 4, 1, this.#height);
      const text =
        ms === 0 ? '0' : `${Number.isInteger(ms) ? ms.toLocaleString('en-US') : formatNumber(ms)} ms`;
      const half = context.measureText(text).width / 2;
      context.fillStyle = colours.of('--muted');
      context.fillText(text, Math.max(half, Math.min(width - half, at)), AXIS_PX / 2 - 1);
    }
  }

  #listen(): void {
    const canvas = this.#canvas;
    const { window: shown } = this.#parts;
    let drag: { x: number; fromMs: number; toMs: number } | undefined;
    canvas.addEventListener('pointerdown', event => {
      drag = { x: event.clientX, fromMs: shown.fromMs, toMs: shown.toMs };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener('pointermove', event => {
      if (drag === undefined || event.buttons === 0) return this.#point(event);
      const ms = ((event.clientX - drag.x) / canvas.clientWidth) * (drag.toMs - drag.fromMs);
      canvas.classList.add('dragged');
      this.#parts.tooltip.hide();
      shown.show(drag.fromMs - ms, drag.toMs - ms);
    });
    const release = (): void => {
      drag = undefined;
      canvas.classList.remove('dragged');
    };
    canvas.addEventListener('pointerup', release);
    canvas.addEventListener('pointercancel', release);
    canvas.addEventListener('pointerleave', () => {
      shown.cursorMs = undefined;
      this.#parts.tooltip.hide();
      shown.changed();
    });
    canvas.addEventListener('dblclick', () => shown.reset());
    // The wheel alone goes on scrolling the page, which these lanes may fill.
    canvas.addEventListener('wheel', event => this.#wheel(event), { passive: false });
    canvas.addEventListener('keydown', event => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (this.#key(event)) event.preventDefault();
    });
    canvas.addEventListener('blur', () => this.#parts.tooltip.hide());
  }

  #point(event: PointerEvent): void {
    const { window: shown, painter, tooltip, workers } = this.#parts;
    const box = this.#canvas.getBoundingClientRect();
    const ms = shown.fromMs + ((event.clientX - box.left) / box.width) * shown.spanMs;
    const worker = Math.floor((event.clientY - box.top - AXIS_PX) / this.#laneHeight);
    shown.cursorMs = ms;
    shown.changed();
    const tip = worker >= 0 && worker < workers ? painter.at(worker, ms, this.#layout()) : undefined;
    if (tip === undefined) tooltip.hide();
    else tooltip.show(tip, event.clientX, event.clientY);
  }

  #wheel(event: WheelEvent): void {
    const { window: shown } = this.#parts;
    const box = this.#canvas.getBoundingClientRect();
    if (event.ctrlKey || event.metaKey) {
      const ms = shown.fromMs + ((event.clientX - box.left) / box.width) * shown.spanMs;
      shown.zoom(ZOOM_STEP ** (event.deltaY / WHEEL_NOTCH), ms);
    } else {
      const across = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
      if (Math.abs(across) < Math.abs(event.shiftKey ? 0 : event.deltaY) || across === 0) return;
      shown.pan(across / box.width);
    }
    event.preventDefault();
  }

  #key(event: KeyboardEvent): boolean {
    const { window: shown, painter, tooltip } = this.#parts;
    if (event.key === '+' || event.key === '=') shown.zoom(1 / ZOOM_STEP);
    else if (event.key === '-') shown.zoom(ZOOM_STEP);
    else if (event.key === '0') shown.reset();
    else if (event.shiftKey && event.key === 'ArrowLeft') shown.pan(-PAN_STEP);
    else if (event.shiftKey && event.key === 'ArrowRight') shown.pan(PAN_STEP);
    else {
      if (event.key === 'Escape') tooltip.hide();
      return painter.key?.(event, this.#layout()) ?? false;
    }
    return true;
  }

  /** Where a point of the canvas is on the screen. */
  onScreen(x: number, y: number): { readonly x: number; readonly y: number } {
    const box = this.#canvas.getBoundingClientRect();
    return { x: box.left + x, y: box.top + y };
  }
}
