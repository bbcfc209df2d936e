/**
 * The gradient of a convolution with respect to its input, as ordinary convolutions of the output gradient.
 *
 * Along one axis, output `o` reads input `i = o·stride + tap − before` (`before`: padding). For one input, therefore,
 * only the taps with `tap ≡ i + before (mod stride)` matter. With `phase` that remainder, `i + before = q·stride +
 * phase` and `tap = t·stride + phase`, the gradient is
 *
 *     dx[i] = Σ over t of dy[q − t] · w[t·stride + phase]
 *
 * which is a convolution of `dy` at stride 1 with every stride-th tap, in reverse order. So stride × stride small
 * convolutions give interleaved pixels of `dx` and multiply nothing in vain. Stride 3, four taps, `before` = 1:
 *
 *     input i       0  1  2  3  4  5        phase 0: taps 0 3 → inputs 2 5
 *     (i+1) mod 3   1  2  0  1  2  0        phase 1: tap  1   → inputs 0 3
 *                                           phase 2: tap  2   → inputs 1 4
 *
 * These run on XNNPACK, where the backend's own Conv2DBackpropInput is a scalar loop.
 */
import {
  allocate,
  floatOffset,
  floats,
  heapFloats,
  release,
  type TensorInfo,
  type WasmBackend,
} from './heap.js';

/** One spatial axis of the forward convolution. `filterSize` counts the gaps of a dilated filter as taps. */
export interface Axis {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly filterSize: number;
  readonly stride: number;
  readonly before: number;
}

/** One phase of one axis: which taps it uses, how `dy` is padded, and where its results belong. */
export interface Phase {
  /** Taps `phase`, `phase + stride`, …; the convolution needs them last first. */
  readonly taps: readonly number[];
  readonly padBefore: number;
  readonly padAfter: number;
  /** Result `r` is the gradient of input `firstInput + r·stride`; those outside [0, inputSize) are dropped. */
  readonly firstInput: number;
  readonly resultSize: number;
}

export function phasesOf({ inputSize, outputSize, filterSize, stride, before }: Axis): Phase[] {
  const phases: Phase[] = [];
  for (let phase = 0; phase < Math.min(stride, filterSize); phase++) {
    const count = Math.ceil((filterSize - phase) / stride);
    const taps = Array.from({ length: count }, (_, t) => phase + (count - 1 - t) * stride);
    const firstQ = Math.ceil((before - phase) / stride);
    const lastQ = Math.floor((inputSize - 1 + before - phase) / stride);
    if (lastQ < firstQ) continue;
    // Padding cannot be negative, so results before the first input or after the last may come out as well.
    const from = Math.min(firstQ, count - 1);
    const to = Math.max(lastQ, outputSize - 1);
    phases.push({
      taps,
      padBefore: count - 1 - from,
      padAfter: to - (outputSize - 1),
      firstInput: from * stride + phase - before,
      resultSize: to - from + 1,
    });
  }
  return phases;
}

/** Convolves `dy` at stride 1, padded as the phases say, with the taps of both; the caller owns the result. */
export type PhaseConvolution = (rows: Phase, columns: Phase) => TensorInfo;

/** Runs all phases of an NHWC convolution and interleaves them into the input gradient of the given shape. */
export function convolvePhases(
  backend: WasmBackend,
  shape: readonly [batch: number, height: number, width: number, channels: number],
  rowAxis: Axis,
  columnAxis: Axis,
  convolve: PhaseConvolution,
): TensorInfo {
  const rowPhases = phasesOf(rowAxis);
  const columnPhases = phasesOf(columnAxis);
  if (coversAll(rowAxis, rowPhases) && coversAll(columnAxis, columnPhases)) {
    return convolve(rowPhases[0] as Phase, columnPhases[0] as Phase);
  }

  const dx = allocate(backend, shape);
  // Inputs that no output reads: with more stride than filter, or past the last output.
  floats(backend, dx).fill(0);
  for (const rows of rowPhases) {
    for (const columns of columnPhases) {
      const part = convolve(rows, columns);
      interleave(backend, dx, shape, part, [rows, rowAxis.stride], [columns, columnAxis.stride]);
      release(backend, part);
    }
  }
  return dx;
}

/** Whether one phase yields the whole axis, in order. */
function coversAll(axis: Axis, phases: readonly Phase[]): boolean {
  const [phase] = phases;
  return axis.stride === 1 && phase?.firstInput === 0 && phase.resultSize === axis.inputSize;
}

function interleave(
  backend: WasmBackend,
  dx: TensorInfo,
  [batch, height, width, channels]: readonly [number, number, number, number],
  part: TensorInfo,
  [rows, rowStride]: readonly [Phase, number],
  [columns, columnStride]: readonly [Phase, number],
): void {
  const heap = heapFloats(backend);
  const target = floatOffset(backend, dx);
  let from = floatOffset(backend, part);
  for (let image = 0; image < batch; image++) {
    for (let row = 0; row < rows.resultSize; row++) {
      const y = rows.firstInput + row * rowStride;
      for (let column = 0; column < columns.resultSize; column++, from += channels) {
        const x = columns.firstInput + column * columnStride;
        if (y < 0 || y >= height || x < 0 || x >= width) continue;
        copyRun(heap, from, target + ((image * height + y) * width + x) * channels, channels);
      }
    }
  }
}

/** Below this length a loop is quicker than the call of `copyWithin` (about 20 ns). */
const SHORT_RUN = 16;

/** Copies a run of floats within the heap. */
export function copyRun(heap: Float32Array, from: number, to: number, length: number): void {
  if (length >= SHORT_RUN) {
    heap.copyWithin(to, from, from + length);
    return;
  }
  for (let index = 0; index < length; index++) heap[to + index] = heap[from + index] as number;
}
