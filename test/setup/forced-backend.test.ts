import { describe, expect, it } from 'vitest';
import { forcedBackend } from '#internal/setup/forced-backend.js';

describe('MILLRACE_BACKEND', () => {
  it.each([undefined, '', 'auto'])('forces nothing when it is %j', value => {
    expect(forcedBackend({ MILLRACE_BACKEND: value })).toBeNull();
  });

  it.each(['tensorflow', 'wasm', 'cpu'] as const)('forces %s', name => {
    expect(forcedBackend({ MILLRACE_BACKEND: name })).toBe(name);
  });

  it('refuses an unknown name and lists the known ones', () => {
    expect(() => forcedBackend({ MILLRACE_BACKEND: 'gpu' })).toThrow(
      'MILLRACE_BACKEND must be one of auto, tensorflow, wasm, cpu; it is "gpu"',
    );
  });
});
