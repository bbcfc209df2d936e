/** What can go wrong between threads, as errors that carry their facts. */
import { MillraceError } from '../errors.js';
import { AbortReason } from '../protocol/control.js';

const REASON_TEXT: Readonly<Record<AbortReason, string>> = {
  [AbortReason.cancelled]: 'it was cancelled',
  [AbortReason.failed]: 'a stage failed',
  [AbortReason.stalled]: 'a worker waited too long',
  [AbortReason.lost]: 'a worker was lost',
};

/** A rule of the transport was broken: a slot released twice, a closed link used, a message cut short. */
export class TransportError extends MillraceError {
  constructor(message: string, options?: ErrorOptions) {
    super('MILLRACE_TRANSPORT', message, options);
  }
}

/** Something does not fit into the memory that was set aside for it. */
export class CapacityError extends TransportError {
  readonly neededBytes: number;
  readonly availableBytes: number;

  constructor(what: string, neededBytes: number, availableBytes: number, options?: ErrorOptions) {
    super(`${what} needs ${neededBytes} bytes; ${availableBytes} bytes are available`, options);
    this.neededBytes = neededBytes;
    this.availableBytes = availableBytes;
  }
}

/** The poison word was found set. Whoever set it has the cause; this only unwinds one thread. */
export class AbortedError extends MillraceError {
  readonly reason: AbortReason;
  /** What the thread was doing or waiting for. */
  readonly what: string;

  constructor(reason: AbortReason, what: string) {
    super('MILLRACE_TRANSPORT_ABORTED', `the run was stopped during '${what}': ${REASON_TEXT[reason]}`);
    this.reason = reason;
    this.what = what;
  }
}

/** A wait lasted longer than the stall timeout although the driver expected work to be done. */
export class StallError extends MillraceError {
  /** What was waited for. */
  readonly what: string;
  readonly waitedMs: number;

  constructor(what: string, waitedMs: number) {
    super('MILLRACE_STALL', `no progress for ${Math.round(waitedMs)} ms while waiting to ${what}`);
    this.what = what;
    this.waitedMs = waitedMs;
  }
}
