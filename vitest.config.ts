import { defineConfig } from 'vitest/config';

// Workers are separate Node files that load `dist/`, so the tests do too: `millrace` by self-reference and
// internals through `#internal/*`. Files run one after another because every one of them may use all cores.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // No test writes into the user's caches.
    globalSetup: ['test/own-cache.ts'],
    pool: 'forks',
    fileParallelism: false,
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
