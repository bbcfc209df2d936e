import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

// Workers are separate Node files that load `dist/`, so the tests do too: `millrace` by self-reference and
// internals through `#internal/*`.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // No test writes into the user's caches.
    globalSetup: ['test/own-cache.ts'],
    pool: 'forks',
    // Every file may use all cores, but most of them are waiting for a worker to start or to end: on two cores, two at once
    // take three quarters of the time.
    maxWorkers: Math.max(2, Math.floor(availableParallelism() / 2)),
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // What the declarations in `dist/` promise, checked by the compiler.
    typecheck: {
      enabled: true,
      include: ['test/types/**/*.test-d.ts'],
      tsconfig: 'test/types/tsconfig.json',
    },
    server: { deps: { external: [/\/dist\//] } },
  },
});
