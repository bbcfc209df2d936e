/**
 * `depthwiseFilter(x, dy, sum, rows, columns, channels, xRowStep, xColumnStep, dyRowStep, dyColumnStep)`:
 * `sum[c] += Σ over rows and columns of x[row, column, c] · dy[row, column, c]`, the gradient of one tap of a depthwise
 * filter over one image. Addresses and steps are in bytes, channels are adjacent.
 *
 * Sixteen channels at a time, then four, then one: their sums stay in registers over the whole image, and four
 * independent vectors hide the latency of the additions. The sum over an image is added to the total only at its end,
 * which keeps rounding errors near those of adding pairwise.
 */
import type { Routine } from './assembler.js';
import { countedLoop } from './loop.js';

const FLOAT_BYTES = 4;
const ZERO = 'f32.const 0';
const ZERO_VECTOR = `${ZERO} f32x4.splat`;

interface Lanes {
  /** Channels that one pass takes. */
  readonly width: number;
  readonly type: 'v128' | 'f32';
  readonly arithmetic: 'f32x4' | 'f32';
  readonly zero: string;
  readonly sums: readonly string[];
}

const SIXTEEN: Lanes = {
  width: 16,
  type: 'v128',
  arithmetic: 'f32x4',
  zero: ZERO_VECTOR,
  sums: ['v0', 'v1', 'v2', 'v3'],
};
const FOUR: Lanes = { width: 4, type: 'v128', arithmetic: 'f32x4', zero: ZERO_VECTOR, sums: ['v0'] };
const ONE: Lanes = { width: 1, type: 'f32', arithmetic: 'f32', zero: ZERO, sums: ['s0'] };

/** Handles channels from `channel` on while a whole group of `width` is left. */
function channelGroups({ width, type, arithmetic, zero, sums }: Lanes): string {
  const offset = (index: number): string => `offset=${index * (width / sums.length) * FLOAT_BYTES}`;
  const each = (line: (sum: string, offset: string) => string): string =>
    sums.map((sum, index) => line(sum, offset(index))).join('\n');
  return `
    block groups-done
      loop groups
        local.get channels local.get channel i32.sub i32.const ${width} i32.lt_s br_if groups-done
        local.get sum local.get channel i32.const 2 i32.shl i32.add local.set target
        ${each(sum => `${zero} local.set ${sum}`)}
        ${countedLoop({
          counter: 'row',
          from: 'i32.const 0',
          to: 'local.get rows',
          step: 'i32.const 1',
          body: `
            local.get x local.get row local.get xRowStep i32.mul i32.add
            local.get channel i32.const 2 i32.shl i32.add local.set xAt
            local.get dy local.get row local.get dyRowStep i32.mul i32.add
            local.get channel i32.const 2 i32.shl i32.add local.set dyAt
            ${countedLoop({
              counter: 'column',
              from: 'i32.const 0',
              to: 'local.get columns',
              step: 'i32.const 1',
              body: `
                ${each(
                  (sum, at) => `
                local.get ${sum} local.get xAt ${type}.load ${at} local.get dyAt ${type}.load ${at}
                ${arithmetic}.mul ${arithmetic}.add local.set ${sum}`,
                )}
                local.get xAt local.get xColumnStep i32.add local.set xAt
                local.get dyAt local.get dyColumnStep i32.add local.set dyAt`,
            })}`,
        })}
        ${each(
          (sum, at) => `
        local.get target
        local.get target ${type}.load ${at} local.get ${sum} ${arithmetic}.add
        ${type}.store ${at}`,
        )}
        local.get channel i32.const ${width} i32.add local.set channel
        br groups
      end
    end`;
}

export const DEPTHWISE_FILTER: Routine = {
  name: 'depthwiseFilter',
  parameters: [
    'x',
    'dy',
    'sum',
    'rows',
    'columns',
    'channels',
    'xRowStep',
    'xColumnStep',
    'dyRowStep',
    'dyColumnStep',
  ],
  locals: {
    i32: ['channel', 'target', 'row', 'column', 'xAt', 'dyAt'],
    f32: ['s0'],
    v128: ['v0', 'v1', 'v2', 'v3'],
  },
  // Locals begin at zero, so does `channel`; each group size goes on where the one before stopped.
  body: [SIXTEEN, FOUR, ONE].map(channelGroups).join('\n'),
};
