/** How fast a pipeline really trains: over all epochs, less the first steps. */

/** In these, the engine chooses its kernels, the JavaScript gets compiled, and the pipeline fills. */
const WARM_UP_STEPS = 5;

export class PipelinedRate {
  /** When the training began and when each of its steps ended, with the samples that were done by then. */
  #marks = [];

  /** @param {import('millrace').PipelinedModel} trainer one that has not begun to train */
  constructor(trainer) {
    trainer.events$.subscribe(event => {
      if (event.kind === 'train-begin') this.#marks = [{ ms: performance.now(), samples: 0 }];
      if (event.kind === 'step') this.#mark(event.rows);
    });
  }

  #mark(rows) {
    this.#marks.push({ ms: performance.now(), samples: this.#marks.at(-1).samples + rows });
  }

  /** What lies between two epochs counts. */
  get samplesPerSecond() {
    // The last step is always measured, however few there are.
    const first = this.#marks[Math.min(WARM_UP_STEPS, this.#marks.length - 2)];
    const last = this.#marks.at(-1);
    return ((last.samples - first.samples) / (last.ms - first.ms)) * 1000;
  }
}
