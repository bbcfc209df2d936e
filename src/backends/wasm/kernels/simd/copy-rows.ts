/**
 * `copyRows(source, target, rows, columns, sourceStep, targetStep)`: copies a row-major matrix of 32-bit numbers whose
 * rows lie `…Step` bytes apart on either side.
 */
import type { Routine } from './assembler.js';
import { countedLoop } from './loop.js';

const columnGroups = (width: number, move: string): string => `
  block groups-done
    loop groups
      local.get columns local.get column i32.sub i32.const ${width} i32.lt_s br_if groups-done
      local.get target local.get column i32.const 2 i32.shl i32.add
      local.get source local.get column i32.const 2 i32.shl i32.add
      ${move}
      local.get column i32.const ${width} i32.add local.set column
      br groups
    end
  end`;

export const COPY_ROWS: Routine = {
  name: 'copyRows',
  parameters: ['source', 'target', 'rows', 'columns', 'sourceStep', 'targetStep'],
  locals: { i32: ['row', 'column'] },
  body: countedLoop({
    counter: 'row',
    from: 'i32.const 0',
    to: 'local.get rows',
    step: 'i32.const 1',
    body: `
      i32.const 0 local.set column
      ${columnGroups(4, 'v128.load v128.store')}
      ${columnGroups(1, 'f32.load f32.store')}
      local.get source local.get sourceStep i32.add local.set source
      local.get target local.get targetStep i32.add local.set target`,
  }),
};
