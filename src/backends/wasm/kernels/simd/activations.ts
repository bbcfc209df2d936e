/**
 * Gates and activations as formulas of element-wise routines, and their gradients in terms of the result.
 *
 * The exponential is taken of −|x| alone, so nothing overflows, as s·(1 + p) with a power of two s, p = eʳ − 1 and
 * |r| ≤ ln 2 ∕ 2. From these tanh gets e⁻²ˣ − 1 without cancellation near 0. Relative errors are a few 1e-7; NaN stays NaN.
 */
import {
  add,
  constant,
  div,
  type Formula,
  greaterThan,
  lessThan,
  max,
  min,
  mul,
  sub,
  value,
  where,
} from './element-wise.js';

export interface ElementActivation {
  /** Formulas for `result` of `x`; what else they compute has `result` in its name. */
  apply(result: string, x: string): Readonly<Record<string, Formula>>;
  /** The gradient of the input from that of the result and the result `y`. */
  gradient(dy: Formula, y: string): Formula;
}

const ZERO = constant(0);
const ONE = constant(1);
/** e⁻⁸⁷ is about the smallest normal float32. */
const LOWEST_EXPONENT = -87;
/** ln 2 in two parts; the first has so few bits that its products with small integers are exact. */
const LN2_HIGH = 0.693359375;
const LN2_LOW = Math.LN2 - LN2_HIGH;
/** 1∕k! from k = 7 down to 2. */
const TAYLOR = [5040, 720, 120, 24, 6, 2].map(factorial => constant(1 / factorial));

/** e^exponent as s·(1 + p); the exponent is at most 0. */
function exponential(
  result: string,
  exponent: Formula,
): Readonly<Record<'x' | 'n' | 'r' | 'p' | 's', string>> & {
  readonly compute: Readonly<Record<string, Formula>>;
} {
  const names = { x: `${result}.x`, n: `${result}.n`, r: `${result}.r`, p: `${result}.p`, s: `${result}.s` };
  const { x, n, r, p, s } = names;
  const series = TAYLOR.reduce((sum, coefficient) => add(mul(sum, r), coefficient));
  const compute = {
    [x]: max(exponent, constant(LOWEST_EXPONENT)),
    [n]: `${mul(x, constant(Math.LOG2E))} f32x4.nearest`,
    [r]: sub(sub(x, mul(n, constant(LN2_HIGH))), mul(n, constant(LN2_LOW))),
    [p]: add(r, mul(mul(r, r), series)),
    // 2ⁿ by the bits of a float32.
    [s]: `${value(n)} i32x4.trunc_sat_f32x4_s i32.const 127 i32x4.splat i32x4.add i32.const 23 i32x4.shl`,
  };
  return { ...names, compute };
}

const magnitude = (x: string): Formula => `${value(x)} f32x4.abs`;

const tanh: ElementActivation = {
  apply(result, x) {
    const { p, s, compute } = exponential(result, mul(magnitude(x), constant(-2)));
    const less = `${result}.less`;
    const positive = div(sub(ZERO, less), add(less, constant(2)));
    // The sign bit is that of x, all others are those of tanh |x|.
    const signed = `${positive} ${value(x)} i32.const 2147483647 i32x4.splat v128.bitselect`;
    return { ...compute, [less]: add(mul(s, p), sub(s, ONE)), [result]: signed };
  },
  gradient: (dy, y) => mul(dy, sub(ONE, mul(y, y))),
};

const sigmoid: ElementActivation = {
  apply(result, x) {
    const { p, s, compute } = exponential(result, mul(magnitude(x), constant(-1)));
    const power = `${result}.power`;
    const numerator = `${ONE} ${value(power)} ${lessThan(ZERO, x)} v128.bitselect`;
    return { ...compute, [power]: mul(s, add(p, ONE)), [result]: div(numerator, add(power, ONE)) };
  },
  gradient: (dy, y) => mul(dy, mul(y, sub(ONE, y))),
};

const HARD_SLOPE = constant(0.2);

export const ELEMENT_ACTIVATIONS = {
  tanh,
  sigmoid,
  hardSigmoid: {
    apply: (result, x) => ({ [result]: max(min(add(mul(x, HARD_SLOPE), constant(0.5)), ONE), ZERO) }),
    gradient: (dy, y) => where(where(mul(dy, HARD_SLOPE), greaterThan(y, ZERO)), lessThan(y, ONE)),
  },
  relu: {
    apply: (result, x) => ({ [result]: max(x, ZERO) }),
    gradient: (dy, y) => where(dy, greaterThan(y, ZERO)),
  },
  linear: { apply: (result, x) => ({ [result]: value(x) }), gradient: dy => dy },
} satisfies Readonly<Record<string, ElementActivation>>;

export type ElementActivationName = keyof typeof ELEMENT_ACTIVATIONS;
