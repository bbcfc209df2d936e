import { describe, expect, it } from 'vitest';
import {
  ELEMENT_ACTIVATIONS,
  type ElementActivationName,
} from '#internal/backends/wasm/kernels/simd/activations.js';
import type { ElementWise } from '#internal/backends/wasm/kernels/simd/element-wise.js';
import { passOn } from '#internal/backends/wasm/kernels/simd/routines.js';

const DEFINITIONS: Record<ElementActivationName, (x: number) => number> = {
  tanh: Math.tanh,
  sigmoid: x => 1 / (1 + Math.exp(-x)),
  hardSigmoid: x => Math.min(1, Math.max(0, 0.2 * x + 0.5)),
  relu: x => Math.max(0, x),
  linear: x => x,
};
const NAMES = Object.keys(DEFINITIONS) as ElementActivationName[];
/** A few roundings of float32, for results near 1 and tiny ones alike. */
const RELATIVE_ERROR = 4e-7;

const memory = new WebAssembly.Memory({ initial: 4 });

/** Runs a pass over `inputs`, whose last operand is the result. */
function run(pass: ElementWise, ...inputs: Float32Array[]): Float32Array {
  const count = inputs[0]!.length;
  const operands = inputs.map((input, index) => {
    new Float32Array(memory.buffer, 4 * index * count, count).set(input);
    return 4 * index * count;
  });
  const target = 4 * inputs.length * count;
  passOn(memory, pass)(...operands, target, count);
  return new Float32Array(memory.buffer, target, count).slice();
}

const apply = (name: ElementActivationName): ElementWise => ({
  name: 'apply',
  reads: ['x'],
  scalars: [],
  compute: ELEMENT_ACTIVATIONS[name].apply('y', 'x'),
  writes: ['y'],
});

describe.each(NAMES)('%s in SIMD', name => {
  const define = DEFINITIONS[name];

  it('is within a few roundings of its definition, at tiny values too', () => {
    const tiny = [1e-30, 1e-10, 1e-7, 1e-4, 1e-2];
    const grid = Array.from({ length: 4001 }, (_, index) => (index - 2000) / 100);
    const x = new Float32Array([...grid, ...tiny, ...tiny.map(value => -value), -0, 0.3465736, 80, -80]);
    const y = run(apply(name), x);
    for (const [index, value] of x.entries()) {
      const expected = define(value);
      const error = Math.abs(y[index]! - expected);
      // 0.2 x + 0.5 rounds as the sum does, wherever it lies near 0.
      const allowed = name === 'hardSigmoid' ? 1e-7 : 1e-37;
      if (error > RELATIVE_ERROR * Math.abs(expected) + allowed)
        expect([value, y[index]]).toEqual([value, expected]);
    }
  });

  it('has its limits at infinity and lets NaN through', () => {
    const [atInfinity, below, notANumber] = run(
      apply(name),
      new Float32Array([Infinity, -Infinity, Number.NaN]),
    );
    expect(atInfinity).toBe(define(Infinity));
    if (define(-Infinity) === -Infinity) expect(below).toBe(-Infinity);
    else expect(below).toBeCloseTo(define(-Infinity), 30);
    expect(notANumber).toBeNaN();
  });

  it('has the slope of its definition as gradient', () => {
    const pass: ElementWise = {
      name: 'gradient',
      reads: ['x', 'dy'],
      scalars: [],
      compute: {
        ...ELEMENT_ACTIVATIONS[name].apply('y', 'x'),
        dx: ELEMENT_ACTIVATIONS[name].gradient('dy', 'y'),
      },
      writes: ['dx'],
    };
    const x = Float32Array.from({ length: 101 }, (_, index) => (index - 50) / 11 + 0.003);
    const dx = run(pass, x, new Float32Array(x.length).fill(3));
    for (const [index, value] of x.entries()) {
      const slope = (define(value + 1e-5) - define(value - 1e-5)) / 2e-5;
      expect(dx[index]).toBeCloseTo(3 * slope, 5);
    }
  });
});
