import { defineConfig } from 'vitest/config';

/** Files with bounds in milliseconds or with counts of what a whole process holds, which another file's workers would upset. */
const ALONE = [
  'test/driver/**/*.test.ts',
  'test/tasks/**/*.test.ts',
  'test/transport/**/*.test.ts',
  'test/stages/null-stage.test.ts',
  'test/pipeline/timeline.test.ts',
  'test/backends/profiled.test.ts',
];

/** Files that hold Millrace's own ops against others. They run once more as on processors that have less than this one may have. */
const OF_OWN_OPS = [
  'test/backends/own-ops.test.ts',
  'test/backends/fused/batch-norm-parts.test.ts',
  'test/backends/fused/optimizers.test.ts',
  'test/backends/graph/rewrites.test.ts',
];

// Workers are separate Node files that load `dist/`, so the tests do too: `millrace` by self-reference and
// internals through `#internal/*`.
export default defineConfig({
  test: {
    // No test writes into the user's caches.
    globalSetup: ['test/own-cache.ts'],
    pool: 'forks',
    testTimeout: 120_000,
    hookTimeout: 120_000,
    server: { deps: { external: [/\/dist\//] } },
    projects: [
      {
        extends: true,
        test: {
          name: 'together',
          include: ['test/**/*.test.ts'],
          exclude: ALONE,
          // Each file may use all cores, but much of its time is waiting for workers to start and to end: on two cores, two files at
          // once take three quarters of the time.
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
          // What the declarations in `dist/` promise, checked by the compiler.
          typecheck: {
            enabled: true,
            include: ['test/types/**/*.test-d.ts'],
            tsconfig: 'test/types/tsconfig.json',
          },
        },
      },
      ...['avx2', 'baseline'].map(instructionSet => ({
        extends: true as const,
        test: {
          name: instructionSet,
          include: OF_OWN_OPS,
          env: { MILLRACE_INSTRUCTION_SET: instructionSet },
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      })),
      {
        extends: true,
        test: {
          name: 'alone',
          include: ALONE,
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
