/**
 * Routines that compute the same formulas for every element of equally long float32 vectors, in one pass over them. Their
 * parameters: the addresses of the operands, the number of elements, then the scalars.
 *
 * Four elements at a time; what is left over, one at a time in the lowest lane of the same vectors. Every operation
 * rounds as tfjs's kernels for single operations do, so formulas in tfjs's order give its very bits.
 */
import type { Routine } from './assembler.js';
import { countedLoop } from './loop.js';

/** Instructions that leave a vector on the stack; the name of an operand or scalar stands for its value. */
export type Formula = string;

export interface ElementWise {
  readonly name: string;
  /** Operands whose elements the formulas use. */
  readonly reads: readonly string[];
  readonly scalars: readonly string[];
  /** In this order: a later formula may use the results of earlier ones, by their names. */
  readonly compute: Readonly<Record<string, Formula>>;
  /** Operands to which results of their names go. */
  readonly writes: readonly string[];
}

/** Addresses, count and scalars, as the routine's formulas name them. */
export type ElementWiseRoutine = (...operands: number[]) => void;

export const value = (formula: Formula): string => (formula.includes(' ') ? formula : `local.get ${formula}`);
const binary =
  (operation: string) =>
  (a: Formula, b: Formula): Formula =>
    `${value(a)} ${value(b)} f32x4.${operation}`;

/** The same number for all elements. */
export const constant = (number: number): Formula => `f32.const ${number} f32x4.splat`;

export const add = binary('add');
export const sub = binary('sub');
export const mul = binary('mul');
export const div = binary('div');
export const min = binary('min');
export const max = binary('max');
export const sqrt = (a: Formula): Formula => `${value(a)} f32x4.sqrt`;
export const square = (a: Formula): Formula => mul(a, a);
/** `a` where the comparison holds, otherwise 0. */
export const where = (a: Formula, comparison: Formula): Formula => `${value(a)} ${comparison} v128.and`;
export const lessThan = binary('lt');
export const greaterThan = binary('gt');

interface Lanes {
  readonly load: string;
  /** Stores the vector on the stack at the address below it. */
  readonly store: string;
}

const FOUR: Lanes = { load: 'v128.load', store: 'v128.store' };
const ONE: Lanes = { load: 'v128.load32_zero', store: 'v128.store32_lane 0' };

const address = (operand: string): string => `${operand}-address`;
const at = (operand: string): string => `
  local.get ${address(operand)} local.get element i32.const 2 i32.shl i32.add`;
const splatted = (scalar: string): string => `${scalar}-scalar`;

function oneGroup({ reads, compute, writes }: ElementWise, { load, store }: Lanes): string {
  const loads = reads.map(name => `${at(name)} ${load} local.set ${name}`);
  const results = Object.entries(compute).map(([name, formula]) => `${value(formula)} local.set ${name}`);
  const stores = writes.map(name => `${at(name)} local.get ${name} ${store}`);
  return [...loads, ...results, ...stores].join('\n');
}

export function elementWise(pass: ElementWise): Routine {
  const operands = [...new Set([...pass.reads, ...pass.writes])];
  const vectors = [...new Set([...pass.reads, ...Object.keys(pass.compute)])];
  return {
    name: pass.name,
    parameters: [...operands.map(address), 'count'],
    scalars: pass.scalars.map(splatted),
    locals: { i32: ['element', 'groupedCount'], v128: [...vectors, ...pass.scalars] },
    body: `
      ${pass.scalars.map(name => `local.get ${splatted(name)} f32x4.splat local.set ${name}`).join('\n')}
      local.get count i32.const -4 i32.and local.set groupedCount
      ${countedLoop({
        counter: 'element',
        from: 'i32.const 0',
        to: 'local.get groupedCount',
        step: 'i32.const 4',
        body: oneGroup(pass, FOUR),
      })}
      ${countedLoop({
        counter: 'element',
        from: 'local.get groupedCount',
        to: 'local.get count',
        step: 'i32.const 1',
        body: oneGroup(pass, ONE),
      })}`,
  };
}
