/**
 * Random functional models, plans and data: losses, metrics, weights and what the steps add to them, scores and outputs
 * are those of plain tfjs. `npm run test:equality` runs many more and writes docs/equality.md.
 */
import { writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { describeOnBackends } from '../../helpers/backends.js';
import { sharedThreads } from '../../helpers/checked-shelf.js';
import { checkRandomModels } from './check.js';
import { TOO_SENSITIVE } from './differences.js';

/** The cpu backend is the one that is everywhere; the others run the same stages with other kernels. */
const COUNTS = { cpu: 150, wasm: 40, tensorflow: 40 } as const;
/** Always the same jobs unless asked otherwise: a test that fails must fail again. */
const SEED = 1;

const env = (name: string): string | undefined => process.env[`MILLRACE_EQUALITY_${name}`] || undefined;

describeOnBackends('any model trains as in plain tfjs', backend => {
  const threads = sharedThreads();

  it('whatever its layers, its data and its plan', async () => {
    const count = Number(env('MODELS') ?? COUNTS[backend]);
    const seed = Number(env('SEED') ?? SEED);
    const { tallies } = await checkRandomModels({ backend, count, seed, path: env('PATH') ?? '', threads });
    // Something of every kind was compared, or the generator draws nothing worth the name.
    if (env('PATH') === undefined && count >= 20) {
      const compared = Object.keys(tallies).filter(kind => kind !== TOO_SENSITIVE);
      expect(compared.sort()).toEqual([
        'loss',
        'loss (adaptive)',
        'metric',
        'output',
        'score',
        'update',
        'weight',
      ]);
    }
    const record = env('RECORD');
    if (record !== undefined) writeFileSync(record, JSON.stringify(tallies));
  }, 1_800_000);
});
