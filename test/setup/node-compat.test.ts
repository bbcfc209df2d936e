import { createContext, runInContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { provideRemovedNodeUtilities } from '#internal/setup/node-compat.js';

type Predicate = (value: unknown) => boolean;

function provided(): Record<string, Predicate> {
  const target: Record<string, Predicate> = {};
  provideRemovedNodeUtilities(target);
  return target;
}

describe('functions that newer versions of Node removed from node:util', () => {
  it('are added where they are missing, and named', () => {
    const kept: Predicate = () => true;
    const target: Record<string, Predicate> = { isArray: kept };
    const added = provideRemovedNodeUtilities(target);
    expect(added).toContain('isNullOrUndefined');
    expect(added).not.toContain('isArray');
    expect(target['isArray']).toBe(kept);
    expect(provideRemovedNodeUtilities(target)).toEqual([]);
  });

  it.each([
    ['isNullOrUndefined', [null, undefined], [0, '', false]],
    ['isArray', [[]], [{ length: 0 }, 'a']],
    ['isObject', [{}, []], [null, () => 0, 1]],
    ['isPrimitive', [null, undefined, 1, 'a', Symbol.iterator], [{}, () => 0]],
    ['isError', [new TypeError('x'), runInContext('new Error()', createContext())], [{ message: 'x' }]],
    ['isRegExp', [/a/], ['a']],
    ['isDate', [new Date()], [Date.now()]],
    ['isFunction', [() => 0], [{}]],
    ['isBuffer', [Buffer.alloc(1)], [new Uint8Array(1)]],
  ])('%s answers as it did', (name, yes, no) => {
    const predicate = provided()[name] as Predicate;
    expect(yes.map(predicate)).toEqual(yes.map(() => true));
    expect(no.map(predicate)).toEqual(no.map(() => false));
  });
});
