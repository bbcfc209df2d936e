/** Shows trainings that run side by side: a bar for each in a terminal, lines with their names elsewhere. */
import cliProgress from 'cli-progress';
import type { Observable, Subscription } from 'rxjs';
import type { TrainerEvent } from '../scheduler/driver/events.js';
import type { EpochMeter } from './epoch-meter.js';
import { type ProgressOptions, showIn } from './progress.js';
import { BAR_COLUMNS, BAR_TOTAL, facts, LineView, type ProgressView, title } from './progress-views.js';
import { formatDuration } from './units.js';

/** How a training ended, as far as it is shown. */
export type ShownEnd =
  | { readonly status: 'completed' | 'cancelled' }
  | { readonly status: 'failed'; readonly error: Error };

/** The progress of one training among others. */
export interface TrialProgress {
  /** Shows what the training tells, until it is unsubscribed from. */
  readonly watch: (trainer: { readonly events$: Observable<TrainerEvent> }) => Subscription;
  /** Ends what is shown with a line about how it ended. */
  readonly end: (end: ShownEnd) => void;
}

/** A view that goes away with its training. */
interface TrialView extends ProgressView {
  close(): void;
}

export class TrialsProgress {
  readonly #stream: NodeJS.WritableStream;
  readonly #now: () => number;
  /** Only in a terminal. */
  readonly #bars: cliProgress.MultiBar | undefined;

  constructor({
    stream = process.stderr,
    now = () => performance.now(),
    lines = false,
  }: ProgressOptions = {}) {
    this.#stream = stream;
    this.#now = now;
    this.#bars = stream.isTTY === true && !lines ? newBars(stream) : undefined;
  }

  begin(name: string): TrialProgress {
    const view = this.#viewOf(name);
    const startMs = this.#now();
    return {
      watch: trainer => showIn(view, trainer, this.#now),
      end: end => {
        const why = end.status === 'failed' ? `: ${end.error.message}` : '';
        view.say(`${end.status} after ${formatDuration(this.#now() - startMs)}${why}`);
        view.close();
      },
    };
  }

  #viewOf(name: string): TrialView {
    if (this.#bars !== undefined) return new SharedBarView(this.#bars, name);
    const view = new LineView(this.#stream, `${name} | `);
    return Object.assign(view, { close: () => {} });
  }

  /** Ends the drawing. */
  close(): void {
    this.#bars?.stop();
  }
}

function newBars(stream: NodeJS.WritableStream): cliProgress.MultiBar {
  return new cliProgress.MultiBar(
    {
      stream,
      barsize: BAR_COLUMNS,
      // Cuts the line at the terminal's width. Switching wrapping off instead would leave it off if the process is killed.
      linewrap: true,
    },
    cliProgress.Presets.shades_classic,
  );
}

/** One bar among others, for one epoch after the other. */
class SharedBarView implements TrialView {
  readonly #bars: cliProgress.MultiBar;
  readonly #name: string;
  #bar: cliProgress.SingleBar | undefined;

  constructor(bars: cliProgress.MultiBar, name: string) {
    this.#bars = bars;
    this.#name = name;
  }

  begin(meter: EpochMeter): void {
    // Only the data tells whether there is a share to show, and all epochs have the same.
    const format = meter.share === undefined ? '{title} | {facts}' : '{title} {bar} {percentage}% | {facts}';
    this.#bar ??= this.#bars.create(BAR_TOTAL, 0, this.#payload(meter, facts(meter.means, meter)), {
      format,
    });
    this.#draw(meter, facts(meter.means, meter));
  }

  update(meter: EpochMeter): void {
    this.#draw(meter, facts(meter.means, meter, meter.remainingMs));
  }

  end(meter: EpochMeter, logs?: Readonly<Record<string, number>>): void {
    if (logs !== undefined) this.#draw(meter, facts(logs, meter));
  }

  #draw(meter: EpochMeter, text: string): void {
    this.#bar?.update(Math.round((meter.share ?? 0) * BAR_TOTAL), this.#payload(meter, text));
  }

  #payload(meter: EpochMeter, text: string): { readonly title: string; readonly facts: string } {
    return { title: `${this.#name} | ${title(meter)}`, facts: text };
  }

  /** A line above the bars. */
  say(line: string): void {
    this.#bars.log(`${this.#name} | ${line}\n`);
    this.#bars.update();
  }

  close(): void {
    if (this.#bar !== undefined) this.#bars.remove(this.#bar);
  }
}
