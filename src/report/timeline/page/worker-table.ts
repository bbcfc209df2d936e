/** How each worker spends the time of a mini-batch, measured above predicted. */
import type { PageData, PageRun } from '../html/page-data.js';
import { element } from './dom.js';
import { formatMs, formatShare } from './format.js';
import { KINDS, kindOf } from './kinds.js';
import { type Slices, timeByKind } from './slices.js';

/** The bars of one worker: a mini-batch, and how long until the next. */
interface Pace {
  readonly label: string;
  readonly run: PageRun;
  readonly periodMs: number;
}

export class WorkerTable {
  readonly root = element('table', { class: 'workers' });
  readonly #data: PageData;
  readonly #slices: Slices;

  constructor(data: PageData, slices: Slices) {
    this.#data = data;
    this.#slices = slices;
  }

  /** @param chosen the measured mini-batch that is looked at */
  show(chosen: PageRun | undefined): void {
    const { predicted, predictedPeriodMs, workers } = this.#data;
    const paces: Pace[] = [{ label: 'predicted', run: predicted[1]!, periodMs: predictedPeriodMs }];
    if (chosen !== undefined) {
      paces.unshift({
        label: 'measured',
        run: chosen,
        periodMs: chosen.periodMs ?? chosen.endMs - chosen.startMs,
      });
    }
    const longestMs = Math.max(...paces.map(({ periodMs }) => periodMs));
    const titles = ['worker', 'stages', 'time of a mini-batch', 'busy', 'idle', 'keeps at most'];
    this.root.replaceChildren(
      element('thead', {}, element('tr', {}, ...titles.map(title => element('th', { scope: 'col' }, title)))),
      element(
        'tbody',
        {},
        ...Array.from({ length: workers }, (_, worker) => this.#row(worker, paces, longestMs)),
      ),
    );
  }

  #row(worker: number, paces: readonly Pace[], longestMs: number): HTMLElement {
    const times = paces.map(({ run }) => timeByKind(this.#slices.of(run)[worker]!));
    const busyMs = times.map(byKind => [...byKind.values()].reduce((sum, ms) => sum + ms, 0));
    const bars = paces.map((pace, index) => bar(pace, times[index]!, longestMs));
    const stages = [...new Set(this.#slices.of(paces[0]!.run)[worker]!.map(({ action }) => action.stage))];
    const points = this.#slices.live(paces[0]!.run)[worker]!;
    const peak = points.reduce((most, { microBatches }) => Math.max(most, microBatches), 0);
    const cell = (...lines: string[]): HTMLElement =>
      element('td', { class: 'number' }, ...lines.map(line => element('div', {}, line)));
    return element(
      'tr',
      { 'data-worker': worker },
      element('th', { scope: 'row' }, String(worker)),
      element('td', {}, stages.sort((a, b) => a - b).join(', ')),
      element('td', { class: 'bars' }, ...bars),
      cell(...busyMs.map(formatMs)),
      cell(...paces.map(({ periodMs }, index) => formatShare(Math.max(0, 1 - busyMs[index]! / periodMs)))),
      cell(`${peak} micro-batch${peak === 1 ? '' : 'es'}`),
    );
  }
}

function bar({ label, periodMs }: Pace, times: ReadonlyMap<string, number>, longestMs: number): HTMLElement {
  const parts = [...times].sort(([a], [b]) => order(a) - order(b));
  const told = parts.map(([kind, ms]) => `${kindOf(kind).name} ${formatMs(ms)}`).join(', ');
  return element(
    'div',
    { class: `bar ${label}`, title: `${label}: ${told}`, role: 'img', 'aria-label': `${label}: ${told}` },
    element('span', { class: 'pace', 'aria-hidden': 'true' }, label),
    element(
      'span',
      { class: 'track' },
      element(
        'span',
        { class: 'period', style: `width: ${(periodMs / longestMs) * 100}%` },
        ...parts.map(([kind, ms]) =>
          element('span', {
            style: `width: ${(ms / periodMs) * 100}%; background: var(${kindOf(kind).colour})`,
          }),
        ),
      ),
    ),
  );
}

function order(kind: string): number {
  return Object.keys(KINDS).indexOf(kind);
}
