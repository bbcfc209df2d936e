/**
 * `multiplyPanel(a, b, c, cStep, tiles, depth, isSum)`: the product of `tiles` × 4 rows and 8 columns, with both operands
 * packed:
 *
 *     a: tiles × [depth][4]          b: [depth][8]          c: rows of 8 numbers, `cStep` bytes apart
 *
 * `isSum` adds to what `c` holds. Eight sums stay in registers over the whole depth: enough to hide an addition's latency,
 * and with two vectors of `b` and one of `a` few enough for 16 registers. Neither taller tiles nor
 * unrolling were faster: 36 GFLOPS like this, 31 with six rows, 29 with two steps of the depth a turn.
 */
import type { Routine } from './assembler.js';
import { countedLoop } from './loop.js';

/** Rows and columns of one tile of the product. */
export const TILE_ROWS = 4;
export const TILE_COLUMNS = 8;

const ROWS = [0, 1, 2, 3] as const;
const HALVES = [0, 1] as const;
const FLOAT_BYTES = 4;
const VECTOR_BYTES = 16;

const sum = (row: number, half: number): string => `c${row}${half}`;
const eachSum = (text: (row: number, half: number) => string): string =>
  ROWS.flatMap(row => HALVES.map(half => text(row, half))).join('\n');

const rowAddress = (row: number): string => `
  local.get c local.get cStep i32.const ${row} i32.mul i32.add`;

const MULTIPLY_DEPTH = `
  local.get bAt v128.load local.set b0
  local.get bAt v128.load offset=${VECTOR_BYTES} local.set b1
  ${ROWS.map(
    row => `
    local.get aAt v128.load32_splat offset=${row * FLOAT_BYTES} local.set value
    ${HALVES.map(
      half => `
      local.get ${sum(row, half)} local.get value local.get b${half} f32x4.mul f32x4.add
      local.set ${sum(row, half)}`,
    ).join('\n')}`,
  ).join('\n')}
  local.get aAt i32.const ${TILE_ROWS * FLOAT_BYTES} i32.add local.set aAt
  local.get bAt i32.const ${TILE_COLUMNS * FLOAT_BYTES} i32.add local.set bAt`;

export const MULTIPLY_PANEL: Routine = {
  name: 'multiplyPanel',
  parameters: ['a', 'b', 'c', 'cStep', 'tiles', 'depth', 'isSum'],
  locals: {
    i32: ['tile', 'left', 'aAt', 'bAt'],
    v128: ['b0', 'b1', 'value', ...ROWS.flatMap(row => HALVES.map(half => sum(row, half)))],
  },
  body: `
    local.get a local.set aAt
    ${countedLoop({
      counter: 'tile',
      from: 'i32.const 0',
      to: 'local.get tiles',
      step: 'i32.const 1',
      body: `
        ${eachSum((row, half) => `f32.const 0 f32x4.splat local.set ${sum(row, half)}`)}
        block is-product
          i32.const 1 local.get isSum i32.sub br_if is-product
          ${eachSum(
            (row, half) => `
            ${rowAddress(row)} v128.load offset=${half * VECTOR_BYTES} local.set ${sum(row, half)}`,
          )}
        end
        local.get b local.set bAt
        local.get depth local.set left
        loop depths
          ${MULTIPLY_DEPTH}
          local.get left i32.const 1 i32.sub local.tee left br_if depths
        end
        ${eachSum(
          (row, half) => `
          ${rowAddress(row)} local.get ${sum(row, half)} v128.store offset=${half * VECTOR_BYTES}`,
        )}
        local.get c local.get cStep i32.const ${TILE_ROWS} i32.mul i32.add local.set c`,
    })}`,
};
