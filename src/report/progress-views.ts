/** Two ways to show a running epoch: a bar that is drawn over and over in a terminal, and plain lines elsewhere. */
import cliProgress from 'cli-progress';
import type { EpochMeter } from './epoch-meter.js';
import { formatCount, formatDuration, formatMetric } from './units.js';

/** Shows one epoch after the other. */
export interface ProgressView {
  begin(meter: EpochMeter): void;
  update(meter: EpochMeter, nowMs: number): void;
  /** `logs` are those of the whole epoch, with validation; without them the epoch broke off. */
  end(meter: EpochMeter, logs?: Readonly<Record<string, number>>): void;
  /** A line of its own, between two epochs. */
  say(line: string): void;
}

export const BAR_COLUMNS = 24;
/** Steps of a bar: finer than a terminal is wide. */
export const BAR_TOTAL = 10_000;

export class BarView implements ProgressView {
  readonly #stream: NodeJS.WritableStream;
  #bar: cliProgress.SingleBar;

  constructor(stream: NodeJS.WritableStream) {
    this.#stream = stream;
    this.#bar = this.#newBar(true);
  }

  #newBar(showsShare: boolean): cliProgress.SingleBar {
    return new cliProgress.SingleBar(
      {
        stream: this.#stream,
        format: showsShare ? '{title} {bar} {percentage}% | {facts}' : '{title} | {facts}',
        barsize: BAR_COLUMNS,
        // Cuts the line at the terminal's width. Switching wrapping off instead would leave it off if the process is killed.
        linewrap: true,
      },
      cliProgress.Presets.shades_classic,
    );
  }

  begin(meter: EpochMeter): void {
    this.#bar = this.#newBar(meter.share !== undefined);
    this.#bar.start(BAR_TOTAL, 0, { title: title(meter), facts: facts(meter.means, meter) });
  }

  update(meter: EpochMeter): void {
    this.#draw(meter, facts(meter.means, meter, meter.remainingMs));
  }

  end(meter: EpochMeter, logs?: Readonly<Record<string, number>>): void {
    if (logs !== undefined) this.#draw(meter, facts(logs, meter));
    this.#bar.stop();
  }

  #draw(meter: EpochMeter, text: string): void {
    this.#bar.update(Math.round((meter.share ?? 0) * BAR_TOTAL), { facts: text });
  }

  say(line: string): void {
    this.#stream.write(`${line}\n`);
  }
}

/** A log file wants a sign of life, not every mini-batch. */
const LINE_INTERVAL_MS = 10_000;

export class LineView implements ProgressView {
  readonly #stream: NodeJS.WritableStream;
  readonly #prefix: string;
  #lastLineMs = Number.NEGATIVE_INFINITY;

  /** @param prefix of every line, where several trainings write to the same stream */
  constructor(stream: NodeJS.WritableStream, prefix = '') {
    this.#stream = stream;
    this.#prefix = prefix;
  }

  begin(meter: EpochMeter): void {
    this.#lastLineMs = meter.startMs;
  }

  update(meter: EpochMeter, nowMs: number): void {
    // The last mini-batch is told by `end`.
    const { share } = meter;
    if (nowMs - this.#lastLineMs < LINE_INTERVAL_MS || (share !== undefined && share >= 1)) return;
    this.#lastLineMs = nowMs;
    const done = share === undefined ? `${meter.rows} samples` : `${Math.floor(share * 100)}%`;
    this.say(`${title(meter)} ${done} | ${facts(meter.means, meter, meter.remainingMs)}`);
  }

  end(meter: EpochMeter, logs?: Readonly<Record<string, number>>): void {
    if (logs !== undefined) this.say(`${title(meter)} | ${facts(logs, meter)}`);
  }

  say(line: string): void {
    this.#stream.write(`${this.#prefix}${line}\n`);
  }
}

export function title({ facts: { epoch, epochs } }: EpochMeter): string {
  return `epoch ${String(epoch + 1).padStart(String(epochs).length)}/${epochs}`;
}

/** `remainingMs` is left out when the epoch is over: then the time that it took is told. */
export function facts(
  logs: Readonly<Record<string, number>>,
  meter: EpochMeter,
  remainingMs?: number,
): string {
  const parts = Object.entries(logs).map(([name, value]) => `${readableName(name)} ${formatMetric(value)}`);
  if (meter.rows > 0) {
    parts.push(`${formatCount(meter.samplesPerSecond)} samples/s`);
    parts.push(
      remainingMs === undefined ? formatDuration(meter.elapsedMs) : `ETA ${formatDuration(remainingMs)}`,
    );
  }
  return parts.join(' | ');
}

/** tfjs shortens the one metric that everybody asks for. */
function readableName(name: string): string {
  return name.replace(/(^|_)acc$/, '$1accuracy');
}
