/** The packed package in an empty project: what is in it, and that its example runs from ESM, CommonJS and TypeScript. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { kernelSources } from '#internal/setup/build/kernel-recipe.js';
import { BACKENDS } from '../pipeline/helpers.js';
import { makeProject, type Project, readmeExample, TSC } from './project.js';

let project: Project;
beforeAll(async () => {
  project = await makeProject();
});
afterAll(() => project?.remove());

describe('the tarball', () => {
  it('holds the built files, with types, the set-up, licence and README', () => {
    expect(project.packed).toEqual(
      expect.arrayContaining([
        'package.json',
        'README.md',
        'LICENSE',
        'CHANGELOG.md',
        'dist/index.js',
        'dist/index.d.ts',
        'dist/cli/main.js',
        'dist/report/timeline/page/main.js',
        'dist/stages/worker.js',
        'dist/setup/index.js',
      ]),
    );
  });

  it('holds no sources but those that the set-up compiles, and no tests, benchmarks or configuration', () => {
    const folders = new Set(project.packed.map(path => path.split('/')[0]!));
    expect([...folders].sort()).toEqual([
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'dist',
      'docs',
      'package.json',
      'src',
    ]);
    const compiled = kernelSources().map(path => path.slice(path.indexOf('src/kernels/')));
    expect(project.packed).toEqual(expect.arrayContaining(compiled));
    const sources = project.packed.filter(path => path.startsWith('src/'));
    expect(sources.filter(path => !/^src\/kernels\/[^/]+\.(cc|h)$/.test(path))).toEqual([]);
    const isForeign = (path: string) =>
      /\.test\.|(?<!\.d)\.ts$|\.tsbuildinfo$|\.node$|\.tgz$|node_modules|fixtures/.test(path);
    expect(project.packed.filter(isForeign)).toEqual([]);
  });

  it('holds every file that the manifest points at', () => {
    const { exports, bin } = project.manifest as unknown as {
      exports: Record<string, string | Record<string, string>>;
      bin: Record<string, string>;
    };
    const pathsOf = (target: string | Record<string, string>): string[] =>
      typeof target === 'string' ? [target] : Object.values(target);
    const targets = [...Object.values(exports).flatMap(pathsOf), ...Object.values(bin)].map(target =>
      target.replace(/^\.\//, ''),
    );
    expect(targets).toContain('dist/index.js');
    for (const target of targets) expect(project.packed).toContain(target);
  });
});

/** The example's own imports, as `require` calls. */
function asCommonJs(source: string): string {
  const body = source
    .replace(/import \* as (\w+) from '([^']+)';/g, "const $1 = require('$2');")
    .replace(/import (\{[^}]+\}) from '([^']+)';/g, "const $1 = require('$2');");
  return `(async () => {\n${body}\n})();\n`;
}

describe('the example of the README', () => {
  it('runs from an ES module, and the process ends by itself', async () => {
    await project.write('example.mjs', await readmeExample());
    expect(await project.node(['example.mjs'])).toMatch(/^\[\s*[\d.e-]+,\s+[\d.e-]+,\s+[\d.e-]+\s*\]$/m);
  });

  it('runs from CommonJS', async () => {
    await project.write('example.cjs', asCommonJs(await readmeExample()));
    expect(await project.node(['example.cjs'])).toMatch(/^\[\s*[\d.e-]+,\s+[\d.e-]+,\s+[\d.e-]+\s*\]$/m);
  });

  it.each(BACKENDS)('runs on %s when MILLRACE_BACKEND says so', async backend => {
    const source = `${await readmeExample()}\nconsole.log('backend', trainer.plan.backend);\n`;
    await project.write('forced.mjs', source);
    expect(await project.node(['forced.mjs'], { MILLRACE_BACKEND: backend })).toContain(`backend ${backend}`);
  });

  it('type-checks with every declaration that it imports, and an option that does not exist is found', async () => {
    await project.write('example.mts', await readmeExample());
    await project.write('uses.mts', USES);
    await project.write('wrong.mts', USES.replace("schedule: '1f1b'", "shedule: '1f1b'"));
    await project.write(
      'tsconfig.json',
      JSON.stringify({
        compilerOptions: {
          module: 'nodenext',
          target: 'es2022',
          lib: ['es2024', 'esnext.disposable', 'dom'],
          types: ['node'],
          strict: true,
          exactOptionalPropertyTypes: true,
          noEmit: true,
          skipLibCheck: false,
        },
        files: ['example.mts', 'uses.mts', 'wrong.mts'],
      }),
    );
    const output = await project
      .node([TSC, '-p', '.', '--pretty', 'false'])
      .catch((error: { stdout: string }) => error.stdout);
    // Other packages' declarations are theirs to mend.
    const ours = output
      .split('\n')
      .filter(line => /error TS/.test(line) && !/node_modules\/(?!millrace\/)/.test(line));
    expect(ours).toEqual([expect.stringMatching(/^wrong\.mts.*'shedule' does not exist/)]);
  });
});

describe('without native TensorFlow', () => {
  beforeAll(() => project.uninstall('@tensorflow/tfjs-node'));
  const source = `
    import * as tf from '@tensorflow/tfjs';
    import { BackendError, pipeline } from 'millrace';
    const model = tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [2] })] });
    model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
    try {
      const trainer = await pipeline(model);
      console.log(trainer.plan.backend, trainer.plan.backendReason);
      await trainer.close();
    } catch (error) {
      console.log(error instanceof BackendError, error.backend, error.message);
    }
  `;

  it('takes wasm and says why', async () => {
    await project.write('auto.mjs', source);
    expect(await project.node(['auto.mjs'], { MILLRACE_BACKEND: '' })).toMatch(/^wasm .*tfjs-node/m);
  });

  it('refuses a forced backend that cannot load, with the reason and the remedy', async () => {
    await project.write('forced.mjs', source);
    const output = await project.node(['forced.mjs'], { MILLRACE_BACKEND: 'tensorflow' });
    expect(output).toMatch(/^true tensorflow .*@tensorflow\/tfjs-node is not installed.*millrace setup/m);
  });
});

/** Names and types that users rely on. */
const USES = `
import * as tf from '@tensorflow/tfjs';
import {
  type Action,
  type ActionRecord,
  BackendError,
  ConfigurationError,
  type FitArgs,
  MillraceError,
  ModelError,
  PipelinedModel,
  type PipelineOptions,
  pipeline,
  type Plan,
  type Prediction,
  type Schedule,
  StageError,
  StateError,
  type Timeline,
  type TrainerEvent,
  TrainingAbortedError,
} from 'millrace';

const options: PipelineOptions = { backend: 'cpu', stages: 2, schedule: '1f1b', partition: ['head'] };

export async function train(model: tf.LayersModel, x: tf.Tensor, y: tf.Tensor): Promise<tf.History> {
  await using trainer: PipelinedModel = await pipeline(model, options);
  const plan: Plan = trainer.plan;
  const schedule: Schedule = plan.schedule;
  const prediction: Prediction | undefined = plan.prediction;
  trainer.events$.subscribe((event: TrainerEvent) => {
    if (event.kind === 'step') {
      const records: readonly ActionRecord[] = event.actions;
      const actions: Action[] = records.map(({ action }) => action);
      console.log(event.logs['loss'], actions.length, schedule.name);
    }
    if (event.kind === 'failure') console.log(event.error.layer);
  });
  const args: FitArgs = {
    epochs: 2,
    callbacks: [tf.callbacks.earlyStopping({ monitor: 'loss' })],
    signal: AbortSignal.timeout(1000),
  };
  try {
    const history = await trainer.fit(x, y, args);
    const timeline: Timeline = trainer.timeline();
    console.log(timeline.comparison.error, prediction?.periodMs, timeline.steps.at(-1)?.logs['loss']);
    await timeline.save('run.html');
    return history;
  } catch (error) {
    if (error instanceof StageError) console.log(error.stage, error.microBatch, error.cause);
    if (error instanceof ConfigurationError) console.log(error.path);
    if (error instanceof ModelError) console.log(error.layer);
    if (error instanceof BackendError) console.log(error.backend);
    if (error instanceof TrainingAbortedError || error instanceof StateError) console.log(error.message);
    if (error instanceof MillraceError) console.log(error.code);
    throw error;
  }
}
`;
