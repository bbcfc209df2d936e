/** A value for each step, as points on a line; a click on one looks at its step. */
import type { PageRun } from '../html/page-data.js';
import { element, svgElement } from './dom.js';
import { ticks } from './time-window.js';

const SIZE = { width: 600, height: 150 } as const;
const MARGIN = { left: 58, right: 12, top: 10, bottom: 22 } as const;

export interface StepChartParts {
  readonly id: string;
  readonly title: string;
  readonly runs: readonly PageRun[];
  readonly read: (run: PageRun) => number | undefined;
  readonly format: (value: number) => string;
  readonly colour: string;
  /** Whether lengths are to be compared, and not only changes. */
  readonly startsAtZero?: boolean;
  /** A value that was expected of every step. */
  readonly expected?: number | undefined;
  readonly onChoose: (run: PageRun) => void;
}

export class StepChart {
  readonly root: HTMLElement;
  readonly #points = new Map<PageRun, SVGElement>();

  constructor(parts: StepChartParts) {
    const { id, title, runs, read, format, colour, startsAtZero, expected, onChoose } = parts;
    const known = runs.flatMap(run => {
      const value = read(run);
      return value === undefined || !Number.isFinite(value) ? [] : [{ run, value }];
    });
    const values = [...known.map(({ value }) => value), ...(expected === undefined ? [] : [expected])];
    const [least, most] = padded(startsAtZero ? 0 : Math.min(...values), Math.max(...values));
    const x = (run: PageRun): number =>
      MARGIN.left +
      (runs.length < 2 ? 0.5 : runs.indexOf(run) / (runs.length - 1)) *
        (SIZE.width - MARGIN.left - MARGIN.right);
    const y = (value: number): number =>
      MARGIN.top + (1 - (value - least) / (most - least)) * (SIZE.height - MARGIN.top - MARGIN.bottom);
    const text = (content: string, at: { x: number; y: number; anchor: string }): SVGElement =>
      svgElement(
        'text',
        { x: at.x, y: at.y, 'text-anchor': at.anchor, 'dominant-baseline': 'middle' },
        content,
      );
    const line = (value: number, name: string): SVGElement =>
      svgElement('line', {
        class: name,
        x1: MARGIN.left,
        x2: SIZE.width - MARGIN.right,
        y1: y(value),
        y2: y(value),
      });

    const marks = ticks(least, most, 3).flatMap(value => [
      line(value, 'grid'),
      text(format(value), { x: MARGIN.left - 6, y: y(value), anchor: 'end' }),
    ]);
    const path = known
      .map(({ run, value }, index) => `${index === 0 ? 'M' : 'L'}${x(run)} ${y(value)}`)
      .join('');
    for (const { run, value } of known) {
      const point = svgElement(
        'circle',
        { cx: x(run), cy: y(value), r: 3.5, fill: `var(${colour})` },
        svgElement('title', {}, `step ${run.step}: ${format(value)}`),
      );
      point.addEventListener('click', () => onChoose(run));
      this.#points.set(run, point);
    }
    const ends = [...new Set([runs[0]!, runs.at(-1)!])].map((run, index) =>
      text(`step ${run.step}`, { x: x(run), y: SIZE.height - 7, anchor: index === 0 ? 'start' : 'end' }),
    );
    this.root = element(
      'figure',
      { class: 'step-chart', id },
      element('figcaption', {}, title),
      svgElement(
        'svg',
        {
          viewBox: `0 0 ${SIZE.width} ${SIZE.height}`,
          role: 'img',
          'aria-label': `${title}: ${told(known, format)}`,
        },
        ...marks,
        ...ends,
        ...(expected === undefined ? [] : [line(expected, 'expected')]),
        svgElement('path', { d: path, stroke: `var(${colour})` }),
        ...this.#points.values(),
      ),
    );
  }

  /** Marks the step that is looked at. */
  show(chosen: PageRun): void {
    for (const [run, point] of this.#points) point.classList.toggle('chosen', run === chosen);
  }
}

function padded(least: number, most: number): readonly [number, number] {
  const room = most > least ? (most - least) * 0.08 : Math.max(Math.abs(most), 1e-6) * 0.1;
  return [least >= 0 ? Math.max(0, least - room) : least - room, most + room];
}

function told(
  known: readonly { readonly run: PageRun; readonly value: number }[],
  format: (value: number) => string,
): string {
  const [first, last] = [known[0], known.at(-1)];
  if (first === undefined || last === undefined) return 'nothing known';
  return `${format(first.value)} in step ${first.run.step}, ${format(last.value)} in step ${last.run.step}`;
}
