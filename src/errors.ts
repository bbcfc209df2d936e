/**
 * The errors that Millrace throws. Each has a stable `code`, says what was wrong, where, and what to do, and
 * carries the facts as fields so that a handler need not parse text.
 */
import type { Failure } from './protocol/failure.js';

/** Base class: `error instanceof MillraceError` tells Millrace's refusals from bugs and from tfjs's errors. */
export class MillraceError extends Error {
  /** Stable from version to version, unlike the message. */
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** An option, argument or model that cannot be used as it is. Thrown before any worker does anything. */
export class ConfigurationError extends MillraceError {
  /** Path of the offending option or argument, such as `microBatches` or `x`. */
  readonly path: string;

  constructor(path: string, message: string, options?: ErrorOptions) {
    super('MILLRACE_CONFIGURATION', message, options);
    this.path = path;
  }
}

/** A model that cannot be trained as a pipeline, with the layer that prevents it where there is one. */
export class ModelError extends MillraceError {
  readonly layer: string | undefined;

  constructor(message: string, layer?: string, options?: ErrorOptions) {
    super('MILLRACE_MODEL', message, options);
    this.layer = layer;
  }
}

/** An engine that was asked for, or that everything depends on, cannot be loaded. */
export class BackendError extends MillraceError {
  readonly backend: string;

  constructor(backend: string, message: string, options?: ErrorOptions) {
    super('MILLRACE_BACKEND', message, options);
    this.backend = backend;
  }
}

/** A call that the trainer's state does not allow: `fit` while `fit` runs, or any use after `close`. */
export class StateError extends MillraceError {
  constructor(message: string, options?: ErrorOptions) {
    super('MILLRACE_STATE', message, options);
  }
}

/** Training was stopped by the caller: an `AbortSignal` fired or the subscription to a run ended. */
export class TrainingAbortedError extends MillraceError {
  constructor(message: string, options?: ErrorOptions) {
    super('MILLRACE_ABORTED', message, options);
  }
}

/**
 * A stage threw, its worker died, or a worker made no progress for too long. Names where it happened; `cause`
 * keeps the original error.
 */
export class StageError extends MillraceError {
  readonly worker: number | undefined;
  readonly stage: number | undefined;
  readonly layer: string | undefined;
  readonly microBatch: number | undefined;
  readonly step: number | undefined;
  /** Text form of the action that failed, such as `1B3`. */
  readonly action: string | undefined;

  /** @internal */
  constructor(failure: Failure) {
    const where = [
      failure.stage === undefined ? undefined : `stage ${failure.stage}`,
      failure.layer === undefined ? undefined : `layer '${failure.layer}'`,
      failure.microBatch === undefined ? undefined : `micro-batch ${failure.microBatch}`,
      failure.step === undefined ? undefined : `step ${failure.step}`,
      failure.action === undefined ? undefined : `action ${failure.action}`,
      failure.worker === undefined ? undefined : `worker ${failure.worker}`,
    ].filter(part => part !== undefined);
    const cause = new Error(failure.message);
    cause.name = failure.name;
    if (failure.stack !== undefined) cause.stack = failure.stack;
    super('MILLRACE_STAGE', `${where.join(', ') || 'a worker'} failed: ${failure.message}`, { cause });
    this.worker = failure.worker;
    this.stage = failure.stage;
    this.layer = failure.layer;
    this.microBatch = failure.microBatch;
    this.step = failure.step;
    this.action = failure.action;
  }
}
