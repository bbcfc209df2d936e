/**
 * The maximum of one pooling window, per channel, and the way back:
 *
 *     maxWindow(x, y, depths, rows, columns, depthStep, rowStep, channels)
 *     maxWindowGradient(x, dy, dx, depths, rows, columns, depthStep, rowStep, channels)
 *
 * `x` and `dx` are the addresses of the window's first pixel, `y` and `dy` of the output pixel; steps are in bytes,
 * pixels of a row adjacent. The gradient goes to the first of equal maxima; NaN is never a maximum.
 *
 * Four channels at a time; what is left over, one at a time in the lowest lane of the same vectors.
 */
import type { Routine } from './assembler.js';
import { countedLoop } from './loop.js';

interface Lanes {
  readonly width: number;
  readonly load: string;
  /** Stores the vector on the stack at the address below it. */
  readonly store: string;
}

const FOUR: Lanes = { width: 4, load: 'v128.load', store: 'v128.store' };
const ONE: Lanes = { width: 1, load: 'v128.load32_zero', store: 'v128.store32_lane 0' };

/** Runs `body` for every pixel of the window with `at` as the address of its current channels in `x`. */
function eachPixel(body: string): string {
  return countedLoop({
    counter: 'depth',
    from: 'i32.const 0',
    to: 'local.get depths',
    step: 'i32.const 1',
    body: countedLoop({
      counter: 'row',
      from: 'i32.const 0',
      to: 'local.get rows',
      step: 'i32.const 1',
      body: `
        local.get x local.get depth local.get depthStep i32.mul i32.add
        local.get row local.get rowStep i32.mul i32.add
        local.get channel i32.const 2 i32.shl i32.add local.set at
        ${countedLoop({
          counter: 'column',
          from: 'i32.const 0',
          to: 'local.get columns',
          step: 'i32.const 1',
          body: `${body} local.get at local.get channels i32.const 2 i32.shl i32.add local.set at`,
        })}`,
    }),
  });
}

const channelGroups = ({ width }: Lanes, body: string): string => `
  block groups-done
    loop groups
      local.get channels local.get channel i32.sub i32.const ${width} i32.lt_s br_if groups-done
      ${body}
      local.get channel i32.const ${width} i32.add local.set channel
      br groups
    end
  end`;

/** Leaves `best` as the maximum of the window. `pmax(best, value)` is `best < value ? value : best`. */
const findMaximum = ({ load }: Lanes): string => `
  f32.const -Infinity f32x4.splat local.set best
  ${eachPixel(`local.get best local.get at ${load} f32x4.pmax local.set best`)}`;

const outputAt = (base: string): string => `local.get ${base} local.get channel i32.const 2 i32.shl i32.add`;

const WINDOW = ['depths', 'rows', 'columns', 'depthStep', 'rowStep', 'channels'] as const;
const COUNTERS = ['channel', 'depth', 'row', 'column', 'at'] as const;

export const MAX_WINDOW: Routine = {
  name: 'maxWindow',
  parameters: ['x', 'y', ...WINDOW],
  locals: { i32: COUNTERS, v128: ['best'] },
  body: [FOUR, ONE]
    .map(lanes =>
      channelGroups(lanes, `${findMaximum(lanes)} ${outputAt('y')} local.get best ${lanes.store}`),
    )
    .join('\n'),
};

/** Adds the gradient to the pixels that equal the maximum, in lanes where none has been found so far. */
const routeGradient = ({ load, store }: Lanes): string => `
  ${outputAt('dy')} ${load} local.set gradient
  f32.const 0 f32x4.splat local.set found
  ${eachPixel(`
    local.get at ${load} local.get best f32x4.eq local.set equal
    local.get at local.get toGradient i32.add local.tee target
    local.get target ${load}
    local.get gradient local.get equal local.get found v128.andnot v128.and
    f32x4.add ${store}
    local.get found local.get equal v128.or local.set found`)}`;

export const MAX_WINDOW_GRADIENT: Routine = {
  name: 'maxWindowGradient',
  parameters: ['x', 'dy', 'dx', ...WINDOW],
  locals: { i32: [...COUNTERS, 'toGradient', 'target'], v128: ['best', 'gradient', 'found', 'equal'] },
  body: `
    ;; from a pixel of x to the same pixel of dx
    local.get dx local.get x i32.sub local.set toGradient
    ${[FOUR, ONE].map(lanes => channelGroups(lanes, `${findMaximum(lanes)} ${routeGradient(lanes)}`)).join('\n')}`,
};
