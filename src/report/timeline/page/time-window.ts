/** The stretch of time that all lanes show, and the moment that is pointed at. Lanes are told when either changes. */

/** As close as one can look: one microsecond a pixel or so. */
const LEAST_SPAN_MS = 0.5;

export class TimeWindow {
  fromMs = 0;
  toMs = 1;
  /** Under the pointer. */
  cursorMs: number | undefined;
  #home = { fromMs: 0, toMs: 1 };
  #bounds = { fromMs: 0, toMs: 1 };
  readonly #listeners: (() => void)[] = [];
  #isScheduled = false;

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** What is shown at first and again by `reset`, and how far one can go. */
  setHome(home: { fromMs: number; toMs: number }, bounds: { fromMs: number; toMs: number }): void {
    this.#home = home;
    this.#bounds = {
      fromMs: Math.min(home.fromMs, bounds.fromMs),
      toMs: Math.max(home.toMs, bounds.toMs),
    };
    this.reset();
  }

  reset(): void {
    this.show(this.#home.fromMs, this.#home.toMs);
  }

  show(fromMs: number, toMs: number): void {
    const { fromMs: least, toMs: most } = this.#bounds;
    const span = Math.min(most - least, Math.max(LEAST_SPAN_MS, toMs - fromMs));
    this.fromMs = Math.max(least, Math.min(fromMs, most - span));
    this.toMs = this.fromMs + span;
    this.changed();
  }

  /** @param factor below 1 goes nearer */
  zoom(factor: number, aroundMs = (this.fromMs + this.toMs) / 2): void {
    const span = Math.max(LEAST_SPAN_MS, this.spanMs * factor);
    const part = (aroundMs - this.fromMs) / this.spanMs;
    this.show(aroundMs - part * span, aroundMs + (1 - part) * span);
  }

  /** @param part of what is shown */
  pan(part: number): void {
    this.show(this.fromMs + part * this.spanMs, this.toMs + part * this.spanMs);
  }

  /** Moves only as far as it takes to see the stretch. */
  reveal(fromMs: number, toMs: number): void {
    if (fromMs < this.fromMs) this.show(fromMs, fromMs + this.spanMs);
    else if (toMs > this.toMs)
      this.show(Math.min(fromMs, toMs - this.spanMs), Math.min(fromMs, toMs - this.spanMs) + this.spanMs);
  }

  get spanMs(): number {
    return this.toMs - this.fromMs;
  }

  /** Draws once a frame, however many changes there are. */
  changed(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    requestAnimationFrame(() => {
      this.#isScheduled = false;
      for (const listener of this.#listeners) listener();
    });
  }
}

/** Round times about `count` to a window: 1, 2 or 5 times a power of ten apart. */
export function ticks(fromMs: number, toMs: number, count: number): number[] {
  const rough = (toMs - fromMs) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(factor => factor * power).find(size => size >= rough)!;
  const times: number[] = [];
  // Adding 0 makes 0 of −0.
  for (let index = Math.ceil(fromMs / step); index * step <= toMs; index++) times.push(index * step + 0);
  return times;
}
