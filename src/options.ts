/**
 * The options of `pipeline()`: checked by a schema before anything starts. An error names the option, what it got and what
 * it takes.
 */
import { inspect } from 'node:util';
import { z } from 'zod';
import { ConfigurationError } from './errors.js';
import type { PipelineOptions } from './pipeline-options.js';
import { savedPlanSchema } from './saved-plan.js';
import { SCHEDULE_NAMES, scheduleSchema } from './scheduler/plan/index.js';

export type { PipelineOptions } from './pipeline-options.js';

const count = z.int().min(1);

/** One entry per option: its schema with its default, and what it takes, in words for the error. */
const OPTIONS = {
  backend: [
    z.enum(['auto', 'tensorflow', 'wasm', 'cpu']).default('auto'),
    "'auto', 'tensorflow', 'wasm' or 'cpu'",
  ],
  workers: [z.union([z.literal('auto'), count]).default('auto'), "'auto' or a whole number of at least 1"],
  stages: [z.union([z.literal('auto'), count]).default('auto'), "'auto' or a whole number of at least 1"],
  replicas: [z.union([z.literal('auto'), count]).default('auto'), "'auto' or a whole number of at least 1"],
  microBatches: [
    z.union([z.literal('auto'), count]).default('auto'),
    "'auto' or a whole number of at least 1",
  ],
  batchSize: [count.default(32), 'a whole number of at least 1'],
  schedule: [
    z.union([z.literal('auto'), z.enum(SCHEDULE_NAMES), scheduleSchema]).default('auto'),
    `'auto', ${SCHEDULE_NAMES.map(name => `'${name}'`).join(', ')} or a Schedule object`,
  ],
  partition: [
    z
      .union([z.enum(['auto', 'uniform', 'parameters']), z.array(z.string()).min(1).readonly()])
      .default('auto'),
    "'auto', 'uniform', 'parameters' or a list of the names of the layers that begin stages 1, 2, …",
  ],
  recompute: [
    z.enum(['auto', 'never', 'except-last', 'always']).default('auto'),
    "'auto', 'never', 'except-last' or 'always'",
  ],
  plan: [savedPlanSchema.optional(), 'a plan that trainer.plan has given, or what JSON makes of one'],
  memoryLimit: [z.number().positive().finite().optional(), 'a positive number of bytes'],
  batchNorm: [
    z.enum(['auto', 'exact', 'micro-batch', 'deferred']).default('auto'),
    "'auto', 'exact', 'micro-batch' or 'deferred'",
  ],
  clipNorm: [z.number().positive().finite().optional(), 'a positive number'],
  setup: [
    z.union([z.string().transform(path => [path]), z.array(z.string())]).default([]),
    'the path of a module, or a list of paths',
  ],
  tracedLayers: [z.array(z.string()).readonly().default([]), 'a list of class names of layers'],
  lossWeights: [
    z.union([z.array(z.number()).min(1).readonly(), z.record(z.string(), z.number())]).optional(),
    'a list with a number for each output, or an object of numbers by output name',
  ],
  seed: [z.int().min(0).optional(), 'a whole number of at least 0'],
  timelineSteps: [z.int().min(0).default(32), 'a whole number of at least 0'],
  cache: [z.union([z.boolean(), z.string().min(1)]).default(true), 'true, false or the path of a folder'],
  stallTimeoutMs: [
    // Zod's own numbers are finite; Infinity switches the watch off.
    z.custom<number>(value => typeof value === 'number' && value > 0).default(60_000),
    'a positive number of milliseconds, or Infinity',
  ],
} as const satisfies {
  // Every documented option has its schema, and none takes what is not documented.
  [Key in keyof Required<PipelineOptions>]: readonly [z.ZodType<unknown, PipelineOptions[Key]>, string];
};

const schema = z.strictObject(
  Object.fromEntries(Object.entries(OPTIONS).map(([key, [type]]) => [key, type])) as {
    [Key in keyof typeof OPTIONS]: (typeof OPTIONS)[Key][0];
  },
);

/** Options with their defaults filled in. */
export type ResolvedOptions = z.output<typeof schema>;

/** @throws ConfigurationError that names the option, what it got and what it takes */
export function parseOptions(options: PipelineOptions | undefined): ResolvedOptions {
  const parsed = schema.safeParse(options ?? {});
  if (parsed.success) return withPlan(parsed.data);
  const [issue] = parsed.error.issues;
  if (issue?.code === 'unrecognized_keys') {
    const [key] = issue.keys;
    throw new ConfigurationError(
      key!,
      `Unknown option '${key}' of pipeline(). Options are ${Object.keys(OPTIONS).join(', ')}.`,
    );
  }
  const key = issue?.path[0] as keyof typeof OPTIONS | undefined;
  if (key === undefined) {
    throw new ConfigurationError(
      'options',
      `pipeline() takes an object of options, but got ${show(options)}.`,
    );
  }
  const value = (options as Record<string, unknown>)[key];
  throw new ConfigurationError(key, `Option '${key}' takes ${OPTIONS[key][1]}, but got ${show(value)}.`);
}

/** What a plan decides. */
const PLANNED = [
  'workers',
  'stages',
  'replicas',
  'microBatches',
  'schedule',
  'partition',
  'recompute',
] as const satisfies (keyof ResolvedOptions)[];

/** Options that ask for what the plan says; all of them are `auto` beside one. */
function withPlan(options: ResolvedOptions): ResolvedOptions {
  const { plan } = options;
  if (plan === undefined) return options;
  const asked = PLANNED.find(key => options[key] !== 'auto');
  if (asked !== undefined) {
    throw new ConfigurationError(
      'plan',
      `Option 'plan' says what option '${asked}' asks for too. Leave one of them out.`,
    );
  }
  const { schedule, replicas, recompute } = plan;
  return { ...options, schedule, replicas, recompute };
}

/** Of plans and schedules, the beginning tells enough. */
const MOST_SHOWN = 300;

function show(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  if (typeof value === 'function') return 'a function';
  if (typeof value !== 'object') return String(value);
  try {
    const text = JSON.stringify(value);
    return text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}…` : text;
  } catch {
    // Circular, as layers and models are.
    return inspect(value, { depth: 0 });
  }
}
