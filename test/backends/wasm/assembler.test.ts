import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assembleModule, type Routine } from '#internal/backends/wasm/kernels/simd/assembler.js';
import { add, div, elementWise, mul } from '#internal/backends/wasm/kernels/simd/element-wise.js';
import { countedLoop } from '#internal/backends/wasm/kernels/simd/loop.js';
import { routinesOn } from '#internal/backends/wasm/kernels/simd/routines.js';

const routine = (body: string, locals: Routine['locals'] = {}): Routine => ({
  name: 'test',
  parameters: ['at', 'value'],
  locals,
  body,
});

function run(body: string, at: number, value: number, locals: Routine['locals'] = {}): Float32Array {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const module = new WebAssembly.Module(assembleModule([routine(body, locals)]));
  const { test } = new WebAssembly.Instance(module, { env: { memory } }).exports;
  (test as (at: number, value: number) => void)(at, value);
  return new Float32Array(memory.buffer);
}

describe('assembler', () => {
  it('encodes constants of every length, offsets and comments', () => {
    for (const address of [0, 4, 124, 128, 8188, 16384, 65532]) {
      const floats = run(`i32.const ${address} f32.const -1.5 f32.store ;; i32.nonsense`, 0, 0);
      expect(floats[address / 4]).toBe(-1.5);
    }
    expect(run('local.get at f32.const 3 f32.store offset=300', 100, 0)[100]).toBe(3);
    expect(run('local.get at i32.const -4 i32.add f32.const 2 f32.store', 8, 0)[1]).toBe(2);
  });

  it('branches to labels by name, also out of nested loops', () => {
    const loop = countedLoop({
      counter: 'index',
      from: 'i32.const 0',
      to: 'local.get value',
      step: 'i32.const 4',
      body: 'local.get index f32.const 1 f32.store',
    });
    expect([...run(loop, 0, 12, { i32: ['index'] }).subarray(0, 4)]).toEqual([1, 1, 1, 0]);
    // Without leaving both loops at once this one would never end.
    const leaveBoth = 'block outer loop inner br outer end end local.get at f32.const 5 f32.store';
    expect(run(leaveBoth, 4, 0)[1]).toBe(5);
  });

  it('refuses unknown instructions, locals and labels and unfinished text', () => {
    const assemble = (body: string) => () => assembleModule([routine(body)]);
    expect(assemble('i64.add')).toThrow("unknown instruction 'i64.add'");
    expect(assemble('local.get nobody')).toThrow("no local 'nobody'");
    expect(assemble('br nowhere')).toThrow("no label 'nowhere'");
    expect(assemble('block open')).toThrow("'open' has no end");
    expect(assemble('i32.const')).toThrow('ends within');
  });
});

describe('an element-wise routine', () => {
  const pass = elementWise({
    name: 'test',
    reads: ['a', 'b'],
    scalars: ['factor', 'divisor'],
    compute: { b: mul('a', 'factor'), part: div('a', 'divisor'), sum: add('b', 'part') },
    writes: ['b', 'sum'],
  });

  it('writes as many elements as it is told and sees what it has written', () => {
    const memory = new WebAssembly.Memory({ initial: 1 });
    const module = new WebAssembly.Module(assembleModule([pass]));
    const { test } = new WebAssembly.Instance(module, { env: { memory } }).exports;
    const floats = new Float32Array(memory.buffer);
    for (let count = 0; count < 10; count++) {
      floats.fill(-1);
      for (let index = 0; index < count; index++) floats[index] = index;
      (test as (...operands: number[]) => void)(0, 80, 160, count, 2, 0.5);
      const expected = (scale: number): number[] =>
        Array.from({ length: 20 }, (_, index) => (index < count ? index * scale : -1));
      expect([...floats.subarray(0, 20)]).toEqual(expected(1));
      expect([...floats.subarray(20, 40)]).toEqual(expected(2));
      expect([...floats.subarray(40, 60)]).toEqual(expected(4));
    }
  });
});

describe('SIMD routines', () => {
  const PAGE_BYTES = 65_536;

  it('are compiled once per memory and follow it when it grows', () => {
    const memory = new WebAssembly.Memory({ initial: 1 });
    const routines = routinesOn(memory);
    expect(routinesOn(memory)).toBe(routines);
    memory.grow(1);
    const floats = new Float32Array(memory.buffer, PAGE_BYTES);
    floats.set([1, 2, 3, 4, 5, 6]);
    routines.transpose(PAGE_BYTES, PAGE_BYTES + 24, 2, 3, 12, 8);
    expect([...floats.subarray(6, 12)]).toEqual([1, 4, 2, 5, 3, 6]);
  });

  it('transpose writes the target and nothing else', () => {
    const memory = new WebAssembly.Memory({ initial: 8 });
    const routines = routinesOn(memory);
    const floats = new Float32Array(memory.buffer);
    const side = fc.integer({ min: 1, max: 140 });
    fc.assert(
      fc.property(side, side, (rows, columns) => {
        floats.fill(-1);
        const size = rows * columns;
        for (let index = 0; index < size; index++) floats[index] = index;
        routines.transpose(0, (size + 1) * 4, rows, columns, 4 * columns, 4 * rows);
        expect(floats[size]).toBe(-1);
        expect(floats[2 * size + 1]).toBe(-1);
        const wrong = floats
          .subarray(size + 1, 2 * size + 1)
          .findIndex((value, index) => value !== (index % rows) * columns + Math.floor(index / rows));
        expect(wrong).toBe(-1);
      }),
      { numRuns: 50 },
    );
  });
});
