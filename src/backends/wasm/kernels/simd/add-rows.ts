/**
 * `addRows(source, target, rows, columns)`: adds every row of a row-major float32 matrix to the row at `target`. By byte
 * addresses.
 *
 * Down strips of four columns, so that the sum stays in a register. The caller passes a few hundred rows at a
 * time: sums of sums round less than one long sum.
 */
import type { Routine } from './assembler.js';
import { countedLoop } from './loop.js';

interface Lanes {
  readonly width: number;
  readonly type: 'v128' | 'f32';
  readonly arithmetic: 'f32x4' | 'f32';
  readonly sum: string;
  readonly zero: string;
}

/** Takes groups of `width` columns from `column` on while a whole one is left. */
const columnGroups = ({ width, type, arithmetic, sum, zero }: Lanes): string => `
  block groups-done
    loop groups
      local.get columns local.get column i32.sub i32.const ${width} i32.lt_s br_if groups-done
      ${zero} local.set ${sum}
      local.get source local.get column i32.const 2 i32.shl i32.add local.set at
      ${countedLoop({
        counter: 'row',
        from: 'i32.const 0',
        to: 'local.get rows',
        step: 'i32.const 1',
        body: `
          local.get ${sum} local.get at ${type}.load ${arithmetic}.add local.set ${sum}
          local.get at local.get columns i32.const 2 i32.shl i32.add local.set at`,
      })}
      local.get target local.get column i32.const 2 i32.shl i32.add local.tee at
      local.get at ${type}.load local.get ${sum} ${arithmetic}.add ${type}.store
      local.get column i32.const ${width} i32.add local.set column
      br groups
    end
  end`;

export const ADD_ROWS: Routine = {
  name: 'addRows',
  parameters: ['source', 'target', 'rows', 'columns'],
  locals: { i32: ['column', 'row', 'at'], f32: ['scalar'], v128: ['vector'] },
  body: [
    columnGroups({
      width: 4,
      type: 'v128',
      arithmetic: 'f32x4',
      sum: 'vector',
      zero: 'f32.const 0 f32x4.splat',
    }),
    columnGroups({ width: 1, type: 'f32', arithmetic: 'f32', sum: 'scalar', zero: 'f32.const 0' }),
  ].join('\n'),
};
