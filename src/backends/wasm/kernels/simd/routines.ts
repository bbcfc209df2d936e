/**
 * The routines of this folder, compiled onto the memory of a WebAssembly backend so that they read and write tensors
 * in place. Compiled once per memory, at the first kernel that needs them (about 5 ms).
 */
import { ADD_ROWS } from './add-rows.js';
import { assembleModule } from './assembler.js';
import { COPY_ROWS } from './copy-rows.js';
import { DEPTHWISE_FILTER } from './depthwise-filter.js';
import { type ElementWise, type ElementWiseRoutine, elementWise } from './element-wise.js';
import { MAX_WINDOW, MAX_WINDOW_GRADIENT } from './max-window.js';
import { MULTIPLY_PANEL } from './multiply-panel.js';
import { OPTIMIZER_STEPS, type OptimizerStepName } from './optimizer-steps.js';
import { SEGMENT_SUM } from './segment-sum.js';
import { TRANSPOSE } from './transpose.js';

/** All addresses and steps are in bytes; nothing is allocated, so views of the heap stay valid. */
export interface Routines extends Readonly<Record<OptimizerStepName, ElementWiseRoutine>> {
  transpose(
    source: number,
    target: number,
    rows: number,
    columns: number,
    sourceStride: number,
    targetStride: number,
  ): void;
  copyRows(
    source: number,
    target: number,
    rows: number,
    columns: number,
    sourceStep: number,
    targetStep: number,
  ): void;
  multiplyPanel(
    a: number,
    b: number,
    c: number,
    cStep: number,
    tiles: number,
    depth: number,
    isSum: number,
  ): void;
  depthwiseFilter(
    x: number,
    dy: number,
    sum: number,
    rows: number,
    columns: number,
    channels: number,
    xRowStep: number,
    xColumnStep: number,
    dyRowStep: number,
    dyColumnStep: number,
  ): void;
  maxWindow(
    x: number,
    y: number,
    depths: number,
    rows: number,
    columns: number,
    depthStep: number,
    rowStep: number,
    channels: number,
  ): void;
  maxWindowGradient(
    x: number,
    dy: number,
    dx: number,
    depths: number,
    rows: number,
    columns: number,
    depthStep: number,
    rowStep: number,
    channels: number,
  ): void;
  addRows(source: number, target: number, rows: number, columns: number): void;
  segmentSum(
    source: number,
    ids: number,
    target: number,
    rows: number,
    width: number,
    segments: number,
  ): void;
}

const ROUTINES = [
  ADD_ROWS,
  COPY_ROWS,
  DEPTHWISE_FILTER,
  MAX_WINDOW,
  MAX_WINDOW_GRADIENT,
  MULTIPLY_PANEL,
  SEGMENT_SUM,
  TRANSPOSE,
  ...OPTIMIZER_STEPS,
];

const routinesOfMemory = new WeakMap<WebAssembly.Memory, Routines>();

/** The routines on `memory`; they follow it when it grows. */
export function routinesOn(memory: WebAssembly.Memory): Routines {
  let routines = routinesOfMemory.get(memory);
  if (routines === undefined) {
    const module = new WebAssembly.Module(assembleModule(ROUTINES));
    routines = new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as Routines;
    routinesOfMemory.set(memory, routines);
  }
  return routines;
}

const passesOfMemory = new WeakMap<WebAssembly.Memory, Map<ElementWise, ElementWiseRoutine>>();

/** A pass that few programs need, compiled by itself at its first use on `memory`. */
export function passOn(memory: WebAssembly.Memory, pass: ElementWise): ElementWiseRoutine {
  const passes = passesOfMemory.get(memory) ?? new Map<ElementWise, ElementWiseRoutine>();
  passesOfMemory.set(memory, passes);
  let routine = passes.get(pass);
  if (routine === undefined) {
    const module = new WebAssembly.Module(assembleModule([elementWise(pass)]));
    const { exports } = new WebAssembly.Instance(module, { env: { memory } });
    routine = exports[pass.name] as ElementWiseRoutine;
    passes.set(pass, routine);
  }
  return routine;
}
