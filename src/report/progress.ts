/** Shows a trainer's progress while it trains: one bar per epoch in a terminal, plain lines where there is none. */
import { type Observable, Subscription } from 'rxjs';
import type { TrainerEvent } from '../scheduler/driver/events.js';
import { type EpochFacts, EpochMeter } from './epoch-meter.js';
import { BarView, LineView, type ProgressView } from './progress-views.js';

/** Where `showProgress` writes. */
export interface ProgressOptions {
  /** Where to write. Default `process.stderr`, so that a program's own output can be piped on. */
  readonly stream?: NodeJS.WritableStream & { readonly isTTY?: boolean };
  /** Clock in milliseconds; for tests. */
  readonly now?: () => number;
  /** Writes plain lines in a terminal too. */
  readonly lines?: boolean;
}

/**
 * Shows losses, metrics, samples per second and time left for every epoch that `trainer` trains, and its warnings.
 *
 * Call it before `fit`. It ends with the trainer; unsubscribe from what it returns to end it earlier.
 */
export function showProgress(
  trainer: { readonly events$: Observable<TrainerEvent> },
  { stream = process.stderr, now = () => performance.now(), lines = false }: ProgressOptions = {},
): Subscription {
  return showIn(stream.isTTY === true && !lines ? new BarView(stream) : new LineView(stream), trainer, now);
}

/** The same in any view. */
export function showIn(
  view: ProgressView,
  trainer: { readonly events$: Observable<TrainerEvent> },
  now: () => number,
): Subscription {
  const display = new ProgressDisplay(view, now);
  const subscription = new Subscription(() => display.breakOff());
  subscription.add(
    trainer.events$.subscribe({
      next: event => display.show(event),
      complete: () => subscription.unsubscribe(),
      error: () => subscription.unsubscribe(),
    }),
  );
  return subscription;
}

class ProgressDisplay {
  readonly #view: ProgressView;
  readonly #now: () => number;
  #run: Omit<EpochFacts, 'epoch'> = { epochs: 0, samples: undefined, steps: undefined };
  /** The epoch that is shown, if any. */
  #meter: EpochMeter | undefined;
  /** What came while an epoch was shown: a line in between would tear its bar. */
  readonly #postponed: string[] = [];

  constructor(view: ProgressView, now: () => number) {
    this.#view = view;
    this.#now = now;
  }

  show(event: TrainerEvent): void {
    switch (event.kind) {
      case 'warning':
        this.#say(`warning: ${event.message}`);
        break;
      case 'train-begin':
        this.breakOff();
        this.#run = { epochs: event.epochs, samples: event.samples, steps: event.stepsPerEpoch };
        break;
      case 'epoch-begin':
        this.breakOff();
        this.#meter = new EpochMeter({ ...this.#run, epoch: event.epoch }, this.#now());
        this.#view.begin(this.#meter);
        break;
      case 'step':
        this.#addStep(event);
        break;
      case 'epoch-end':
        this.#endEpoch(event.logs);
        break;
      case 'train-end':
      case 'aborted':
      case 'failure':
        // The failure itself is thrown by `fit`; saying it here as well would say it twice.
        this.breakOff();
        break;
      default:
        event satisfies never;
    }
  }

  /** Ends what is shown of an epoch that is not going to end by itself. */
  breakOff(): void {
    this.#endEpoch();
  }

  #addStep({ rows, logs }: Extract<TrainerEvent, { kind: 'step' }>): void {
    if (this.#meter === undefined) return;
    const nowMs = this.#now();
    this.#meter.add(rows, logs, nowMs);
    this.#view.update(this.#meter, nowMs);
  }

  #endEpoch(logs?: Readonly<Record<string, number>>): void {
    if (this.#meter === undefined) return;
    this.#view.end(this.#meter, logs);
    this.#meter = undefined;
    for (const line of this.#postponed.splice(0)) this.#view.say(line);
  }

  #say(line: string): void {
    if (this.#meter === undefined) this.#view.say(line);
    else this.#postponed.push(line);
  }
}
