/**
 * `transpose(source, target, rows, columns, sourceStride, targetStride)`: the transpose of a row-major float32 matrix, by
 * byte addresses. Strides are the bytes between rows on either side.
 *
 * Works in 4 × 4 tiles held in registers, down strips of four columns, within bands of 64 rows:
 *
 *     columns → 0..3  4..7  8..11           a band's source lines (64 rows × 64 bytes) stay in the first-level
 *     band 0      1     2     3             cache over the four strips that share them, and each strip writes
 *     band 1      4     5     6             only four target rows at a time.
 *
 * The order matters more than the vectors: the backend's own Transpose needs 0.3 ns an element for most shapes but
 * 3 to 10 ns once the row or column count is a multiple of a large power of two, as in most networks, because all
 * lines of a column then fall into a few cache sets.
 */
import type { Routine } from './assembler.js';
import { countedLoop } from './loop.js';

const BAND_ROWS = 64;

/** Picks 32-bit lanes of two vectors (0 to 3 of the first, 4 to 7 of the second). */
function shuffle(...lanes: readonly [number, number, number, number]): string {
  return `i8x16.shuffle ${lanes.flatMap(lane => [0, 1, 2, 3].map(byte => 4 * lane + byte)).join(' ')}`;
}

/** Leaves `base + stride * index` on the stack, for the four lines of a tile. */
const line = (base: string, stride: string, index: number): string =>
  `local.get ${base} ${index === 0 ? '' : `local.get ${stride} i32.const ${index} i32.mul i32.add`}`;

const TILE = `
  ${[0, 1, 2, 3].map(i => `${line('from', 'sourceStride', i)} v128.load local.set r${i}`).join('\n')}
  local.get r0 local.get r1 ${shuffle(0, 4, 1, 5)} local.set low01
  local.get r0 local.get r1 ${shuffle(2, 6, 3, 7)} local.set high01
  local.get r2 local.get r3 ${shuffle(0, 4, 1, 5)} local.set low23
  local.get r2 local.get r3 ${shuffle(2, 6, 3, 7)} local.set high23
  ${line('to', 'targetStride', 0)} local.get low01 local.get low23 ${shuffle(0, 1, 4, 5)} v128.store
  ${line('to', 'targetStride', 1)} local.get low01 local.get low23 ${shuffle(2, 3, 6, 7)} v128.store
  ${line('to', 'targetStride', 2)} local.get high01 local.get high23 ${shuffle(0, 1, 4, 5)} v128.store
  ${line('to', 'targetStride', 3)} local.get high01 local.get high23 ${shuffle(2, 3, 6, 7)} v128.store`;

/** Sets `from` and `to` to the element at (row, column) on either side. */
const LOCATE = `
  local.get source local.get row local.get sourceStride i32.mul i32.add
  local.get column i32.const 2 i32.shl i32.add local.set from
  local.get target local.get column local.get targetStride i32.mul i32.add
  local.get row i32.const 2 i32.shl i32.add local.set to`;

/** Copies elements one by one: the last rows of a strip and the last columns of a band. */
const copyRest = (firstRow: string, firstColumn: string, endColumn: string): string =>
  countedLoop({
    counter: 'row',
    from: firstRow,
    to: 'local.get bandEnd',
    step: 'i32.const 1',
    body: countedLoop({
      counter: 'column',
      from: firstColumn,
      to: endColumn,
      step: 'i32.const 1',
      body: `${LOCATE} local.get to local.get from f32.load f32.store`,
    }),
  });

export const TRANSPOSE: Routine = {
  name: 'transpose',
  parameters: ['source', 'target', 'rows', 'columns', 'sourceStride', 'targetStride'],
  locals: {
    i32: ['band', 'bandEnd', 'tileEnd', 'tileColumns', 'row', 'column', 'from', 'to'],
    v128: ['r0', 'r1', 'r2', 'r3', 'low01', 'high01', 'low23', 'high23'],
  },
  body: `
    local.get columns i32.const -4 i32.and local.set tileColumns
    ${countedLoop({
      counter: 'band',
      from: 'i32.const 0',
      to: 'local.get rows',
      step: `i32.const ${BAND_ROWS}`,
      body: `
        ;; bandEnd = min(rows, band + BAND_ROWS)
        local.get rows
        local.get band i32.const ${BAND_ROWS} i32.add
        local.get rows local.get band i32.const ${BAND_ROWS} i32.add i32.lt_s
        select local.set bandEnd
        local.get bandEnd i32.const -4 i32.and local.set tileEnd
        ${countedLoop({
          counter: 'column',
          from: 'i32.const 0',
          to: 'local.get tileColumns',
          step: 'i32.const 4',
          body: countedLoop({
            counter: 'row',
            from: 'local.get band',
            to: 'local.get tileEnd',
            step: 'i32.const 4',
            body: `${LOCATE} ${TILE}`,
          }),
        })}
        ${copyRest('local.get tileEnd', 'i32.const 0', 'local.get tileColumns')}
        ${copyRest('local.get band', 'local.get tileColumns', 'local.get columns')}`,
    })}`,
};
