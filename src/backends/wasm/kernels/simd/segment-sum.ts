/**
 * `segmentSum(source, ids, target, rows, width, segments)`: `target[ids[row]] += source[row]` for every row of `width`
 * float32 numbers; rows whose id is not a segment are skipped. Addresses in bytes, ids int32.
 */
import type { Routine } from './assembler.js';
import { countedLoop } from './loop.js';

const add = (type: 'v128' | 'f32', arithmetic: 'f32x4' | 'f32'): string => `
  local.get to local.get column i32.const 2 i32.shl i32.add local.tee at
  local.get at ${type}.load
  local.get from local.get column i32.const 2 i32.shl i32.add ${type}.load
  ${arithmetic}.add ${type}.store`;

export const SEGMENT_SUM: Routine = {
  name: 'segmentSum',
  parameters: ['source', 'ids', 'target', 'rows', 'width', 'segments'],
  locals: { i32: ['row', 'column', 'vectorWidth', 'id', 'from', 'to', 'at'] },
  body: `
    local.get width i32.const -4 i32.and local.set vectorWidth
    ${countedLoop({
      counter: 'row',
      from: 'i32.const 0',
      to: 'local.get rows',
      step: 'i32.const 1',
      body: `
        block not-a-segment
          local.get ids local.get row i32.const 2 i32.shl i32.add i32.load local.tee id
          ;; unsigned, so that negative ids are too large as well
          local.get segments i32.ge_u br_if not-a-segment
          local.get source local.get row local.get width i32.mul i32.const 2 i32.shl i32.add local.set from
          local.get target local.get id local.get width i32.mul i32.const 2 i32.shl i32.add local.set to
          ${countedLoop({
            counter: 'column',
            from: 'i32.const 0',
            to: 'local.get vectorWidth',
            step: 'i32.const 4',
            body: add('v128', 'f32x4'),
          })}
          ${countedLoop({
            counter: 'column',
            from: 'local.get vectorWidth',
            to: 'local.get width',
            step: 'i32.const 1',
            body: add('f32', 'f32'),
          })}
        end`,
    })}`,
};
