/** Checks what `parallel()` and each of its trials are given, before anything of it is used. */
import { availableParallelism } from 'node:os';
import { ConfigurationError } from '../errors.js';
import { parseOptions } from '../options.js';
import type { PipelineOptions } from '../pipeline-options.js';
import { checkArgs, checkCount, checkOneOf, checkSignal } from '../scheduler/driver/fit/index.js';
import type { Trial } from './trial.js';

/** How trials are run. Everything is optional. */
export interface ParallelOptions {
  /** Cores that all trials take together; a trial takes one for each of its workers. Default: those of the machine. */
  readonly cores?: number | undefined;
  /** Cancels all trials when it fires, those that have not begun included. */
  readonly signal?: AbortSignal | undefined;
  /** Shows progress on stderr: 1 a bar for each running trial in a terminal and lines elsewhere, 2 lines. Nothing without it. */
  readonly verbose?: 0 | 1 | 2 | undefined;
  /** Options of every trial's pipeline; a trial's own come before them. */
  readonly pipeline?: PipelineOptions | undefined;
}

export interface ResolvedParallelOptions {
  readonly cores: number;
  readonly signal: AbortSignal | undefined;
  readonly verbose: 0 | 1 | 2;
  readonly pipeline: PipelineOptions;
}

/** A trial that can be run as far as can be told without its model. */
export interface CheckedTrial {
  readonly trial: Trial;
  readonly name: string;
  readonly workers: number;
  /** Of the trial alone. */
  readonly signal: AbortSignal | undefined;
  readonly pipeline: PipelineOptions;
}

const OPTION_NAMES: readonly (keyof Required<ParallelOptions>)[] = ['cores', 'signal', 'verbose', 'pipeline'];
const TRIAL_NAMES: readonly (keyof Required<Trial>)[] = ['name', 'model', 'data', 'options', 'dispose'];

/** @throws ConfigurationError that names the option */
export function checkOptions(options: ParallelOptions): ResolvedParallelOptions {
  checkArgs('parallel', options);
  refuseUnknown('option', 'parallel()', options, OPTION_NAMES);
  const { cores, signal, verbose, pipeline } = options;
  checkCount('cores', cores);
  checkOneOf('verbose', verbose, [0, 1, 2]);
  parseOptions(pipeline);
  return {
    cores: cores ?? availableParallelism(),
    signal: checkSignal(signal),
    verbose: verbose ?? 0,
    pipeline: pipeline ?? {},
  };
}

/** What a trial is called, whatever else is wrong with it. */
export function nameOfTrial(trial: unknown, index: number): string {
  const name = (trial as Partial<Trial> | null | undefined)?.name;
  return typeof name === 'string' ? name : `trial ${index}`;
}

/** @throws ConfigurationError that names what cannot be used */
export function checkTrial(
  value: unknown,
  index: number,
  { cores, pipeline: common }: ResolvedParallelOptions,
): CheckedTrial {
  const name = nameOfTrial(value, index);
  checkObject('trial', `A trial takes an object with 'model' and 'data'`, value);
  refuseUnknown('property', 'a trial', value, TRIAL_NAMES);
  const trial = value as Trial;
  checkObject('model', `'model' of ${name} takes a LayersModel, or a function that makes one`, trial.model);
  checkObject(
    'data',
    `'data' of ${name} takes { x, y }, a dataset, or a function that gives them`,
    trial.data,
  );
  if (trial.options !== undefined)
    checkObject('options', `'options' of ${name} takes an object`, trial.options);
  checkFunction('dispose', name, trial.dispose);
  const { pipeline: own, signal, ...args } = trial.options ?? {};
  if ('verbose' in args) {
    throw new ConfigurationError(
      'verbose',
      `A trial takes no 'verbose'. Give it to parallel(), which shows the progress of all its trials.`,
    );
  }
  const planned = 'batchSize' in args && args.batchSize !== undefined ? { batchSize: args.batchSize } : {};
  const pipeline: PipelineOptions = { ...planned, ...common, ...own };
  const workers = workersOf(pipeline);
  if (workers > cores) {
    throw new ConfigurationError(
      'workers',
      `'${name}' asks for ${workers} workers, but parallel() has ${cores} cores. Give the trial fewer, or parallel() more 'cores'.`,
    );
  }
  return { trial, name, workers, signal: checkSignal(signal), pipeline: { ...pipeline, workers } };
}

/** One unless more are asked for: of many trials, those with a core each finish first. */
function workersOf(options: PipelineOptions): number {
  const { workers, schedule } = parseOptions(options);
  if (workers !== 'auto') return workers;
  return typeof schedule === 'object' ? Math.max(...schedule.workerOfStage) + 1 : 1;
}

function refuseUnknown(what: string, whose: string, value: object, known: readonly string[]): void {
  const unknown = Object.keys(value).find(key => !known.includes(key));
  if (unknown === undefined) return;
  throw new ConfigurationError(
    unknown,
    `Unknown ${what} '${unknown}' of ${whose}. Known are ${known.join(', ')}.`,
  );
}

function checkObject(path: string, rule: string, value: unknown): asserts value is object {
  if ((typeof value === 'object' && value !== null) || typeof value === 'function') return;
  throw new ConfigurationError(path, `${rule}, but got ${String(value)}.`);
}

function checkFunction(path: string, name: string, value: unknown): void {
  if (value === undefined || typeof value === 'function') return;
  throw new ConfigurationError(path, `'${path}' of ${name} takes a function, but got ${String(value)}.`);
}
