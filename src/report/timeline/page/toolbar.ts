/** Choosing a step, and buttons for those who have no wheel. */
import type { PageRun } from '../html/page-data.js';
import { element } from './dom.js';
import type { TimeWindow } from './time-window.js';

export interface ToolbarParts {
  readonly window: TimeWindow;
  readonly runs: readonly PageRun[];
  readonly onChoose: (run: PageRun) => void;
}

export class Toolbar {
  readonly root: HTMLElement;
  readonly #name = element('output', { for: 'step' });
  readonly #slider: HTMLInputElement;
  readonly #runs: readonly PageRun[];

  constructor({ window: shown, runs, onChoose }: ToolbarParts) {
    this.#runs = runs;
    this.#slider = element('input', {
      id: 'step',
      type: 'range',
      min: 0,
      max: Math.max(0, runs.length - 1),
      'aria-label': 'Step that is shown',
    });
    const choose = (index: number): void => {
      const run = runs[index];
      if (run !== undefined) onChoose(run);
    };
    this.#slider.addEventListener('input', () => choose(this.#slider.valueAsNumber));
    const steps =
      runs.length === 0
        ? []
        : [
            button('◀', 'The step before', () => choose(this.#slider.valueAsNumber - 1)),
            this.#slider,
            button('▶', 'The step after', () => choose(this.#slider.valueAsNumber + 1)),
            this.#name,
          ];
    this.root = element(
      'div',
      { class: 'toolbar' },
      ...steps,
      element('span', { class: 'space' }),
      button('−', 'Show more time', () => shown.zoom(1.5)),
      button('+', 'Look closer', () => shown.zoom(1 / 1.5)),
      button('Fit', 'Show the whole mini-batch', () => shown.reset()),
    );
  }

  show(run: PageRun): void {
    this.#slider.valueAsNumber = this.#runs.indexOf(run);
    const place =
      run.epoch === undefined ? '' : ` · epoch ${run.epoch + 1}, mini-batch ${(run.batch ?? 0) + 1}`;
    this.#name.textContent = `step ${run.step}${place} · ${run.rows} samples`;
  }
}

function button(text: string, label: string, onClick: () => void): HTMLButtonElement {
  const made = element('button', { type: 'button', 'aria-label': label, title: label }, text);
  made.addEventListener('click', onClick);
  return made;
}
