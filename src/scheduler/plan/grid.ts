/**
 * Draws programs and schedules as text: one row a worker, time to the right, compute actions only.
 *
 *   worker 0  0F0 |   0B0 0W0 0F1 0B1 0W1
 *                     ^^^ waits for ever
 *   worker 1  .   1F0 |   1F1 1B0 1W0 1B1 1W1
 *
 * A dot is idle time; dashes lengthen an action over several columns (`0B0----`). Behind the bar stands, in order, what
 * never runs, because the worker waits for ever. Carets mark one action.
 *
 * The times are the simulator's. Where all durations are multiples of the shortest one, columns are exact; otherwise a
 * column is half a mean duration and positions are rounded. Actions without duration are not drawn.
 */
import type { Action, Program } from '../../protocol/action.js';
import type { Schedule } from '../../protocol/schedule.js';
import type { StageTopology } from '../../protocol/topology.js';
import { chainTopology } from './chain.js';
import { type ActionCost, unitCost } from './costs.js';
import { type LowerOptions, lower } from './lower.js';
import { compile } from './simulation/compile.js';
import { isCompute } from './simulation/last-use.js';
import { type RunResult, run, type SlotCounts } from './simulation/run.js';
import { formatAction } from './text.js';

export interface GridMark {
  readonly worker: number;
  /** Position in the list that is drawn; its length marks the place behind the last action. */
  readonly index: number;
  readonly miniBatch?: number;
  readonly note?: string;
}

export interface GridOptions {
  /** Default: unit costs. */
  readonly cost?: ActionCost;
  readonly slotCounts?: SlotCounts;
  /** Default 1. */
  readonly miniBatchCount?: number;
  readonly mark?: GridMark;
  /** Duration that one column stands for. */
  readonly columnTime?: number;
  /** Draws no more than this, around the mark, or from the first column and worker. */
  readonly window?: { readonly columns: number; readonly workers: number };
}

export interface ScheduleGridOptions extends GridOptions, LowerOptions {
  /** Default: a chain of stages. */
  readonly topology?: StageTopology;
}

/** Draws a schedule; a mark counts positions in the schedule's own orders. */
export function drawSchedule(schedule: Schedule, options: ScheduleGridOptions = {}): string {
  const programs = lower(schedule, options.topology ?? chainTopology(schedule.stageCount), options);
  const { mark } = options;
  if (mark === undefined) return drawPrograms(programs, options);
  return drawPrograms(programs, {
    ...options,
    mark: { ...mark, index: programIndex(programs[mark.worker], mark.index) },
  });
}

export function drawPrograms(programs: readonly Program[], options: GridOptions = {}): string {
  const { cost = unitCost, miniBatchCount = 1, mark } = options;
  const compiled = compile(programs, cost);
  const result = run(compiled, miniBatchCount, options.slotCounts);
  const columnTime = options.columnTime ?? chooseColumnTime(programs, result);
  const rows = programs.map((program, worker) => layOut(program, worker, result, columnTime, miniBatchCount));
  const markAt = mark === undefined ? undefined : findMarked(programs[mark.worker], rows[mark.worker], mark);
  return render(rows, mark, markAt, options.window);
}

interface Cell {
  /** Position in all of the worker's mini-batches. */
  readonly position: number;
  readonly column: number;
  readonly span: number;
  readonly text: string;
}

interface Row {
  readonly cells: readonly Cell[];
  /** Column of the bar before what never ran. */
  readonly bar: number | undefined;
  readonly columnCount: number;
}

/** The `ordinal`-th action of the schedule inside the program; behind the last one if there are fewer. */
function programIndex(program: Program | undefined, ordinal: number): number {
  let seen = 0;
  const found = program?.findIndex(action => isOfSchedule(action) && seen++ === ordinal) ?? -1;
  return found < 0 ? (program?.length ?? 0) : found;
}

export function isOfSchedule(action: Action): boolean {
  return isCompute(action) && action.kind !== 'recompute';
}

function chooseColumnTime(programs: readonly Program[], { start, end, done }: RunResult): number {
  const durations: number[] = [];
  programs.forEach((program, worker) => {
    for (let position = 0; position < done[worker]!; position++) {
      const duration = end[worker]![position]! - start[worker]![position]!;
      if (duration > 0 && isCompute(program[position % program.length]!)) durations.push(duration);
    }
  });
  const shortest = durations.reduce((one, other) => Math.min(one, other), Number.POSITIVE_INFINITY);
  if (shortest === Number.POSITIVE_INFINITY) return 1;
  const isMultiple = (duration: number): boolean => {
    const ratio = duration / shortest;
    return Math.abs(ratio - Math.round(ratio)) < 1e-6;
  };
  if (durations.every(isMultiple)) return shortest;
  return durations.reduce((sum, duration) => sum + duration, 0) / durations.length / 2;
}

function layOut(
  program: Program,
  worker: number,
  { start, end, done }: RunResult,
  columnTime: number,
  miniBatchCount: number,
): Row {
  const cells: Cell[] = [];
  let column = 0;
  let position = 0;
  for (; position < done[worker]!; position++) {
    const action = program[position % program.length]!;
    const from = start[worker]![position]!;
    const to = end[worker]![position]!;
    if (!isCompute(action) || to === from) continue;
    // Rounding may ask for a column that the previous action has taken.
    const first = Math.max(column, Math.round(from / columnTime));
    column = Math.max(first + 1, Math.round(to / columnTime));
    cells.push({ position, column: first, span: column - first, text: formatAction(action) });
  }
  if (position === program.length * miniBatchCount) return { cells, bar: undefined, columnCount: column };
  const bar = column++;
  for (; position < program.length * miniBatchCount; position++) {
    const action = program[position % program.length]!;
    if (isCompute(action)) cells.push({ position, column: column++, span: 1, text: formatAction(action) });
  }
  return { cells, bar, columnCount: column };
}

/**
 * The cell that stands for the marked position: its own; behind a send, step or undrawn action the one before, ahead
 * of a receive the one after. Undefined: behind everything.
 */
function findMarked(program: Program | undefined, row: Row | undefined, mark: GridMark): Cell | undefined {
  if (program === undefined || row === undefined || mark.index >= program.length) return undefined;
  const position = (mark.miniBatch ?? 0) * program.length + mark.index;
  const next = row.cells.findIndex(cell => cell.position >= position);
  if (row.cells[next]?.position === position || program[mark.index]!.kind === 'receive')
    return row.cells[next];
  return row.cells[(next < 0 ? row.cells.length : next) - 1] ?? row.cells[next];
}

function render(
  rows: readonly Row[],
  mark: GridMark | undefined,
  marked: Cell | undefined,
  window: GridOptions['window'],
): string {
  const markedRow = mark === undefined ? undefined : rows[mark.worker];
  const markColumn = marked?.column ?? markedRow?.columnCount ?? 0;
  const columnCount = rows.reduce((most, row) => Math.max(most, row.columnCount), 0);
  const columns = windowAround(markColumn, columnCount + 1, window?.columns);
  const workers = windowAround(mark?.worker ?? 0, rows.length, window?.workers);
  const shown = rows.slice(workers.from, workers.to);
  const width = shown.reduce(
    (widest, row) => row.cells.reduce((most, cell) => Math.max(most, cell.text.length), widest),
    1,
  );
  const crop = (line: string): string =>
    line.slice(columns.from * (width + 1), columns.to * (width + 1)).trimEnd();
  const labelWidth = `worker ${workers.to - 1}`.length;
  const cut = columns.from > 0 ? '… ' : '';
  const lines: string[] = [];
  shown.forEach((row, offset) => {
    const worker = workers.from + offset;
    const tail = row.columnCount > columns.to ? ' …' : '';
    lines.push(
      `${`worker ${worker}`.padEnd(labelWidth)}  ${cut}${crop(renderRow(row, width))}${tail}`.trimEnd(),
    );
    if (worker !== mark?.worker) return;
    const indent = ' '.repeat(labelWidth + 2 + cut.length + (markColumn - columns.from) * (width + 1));
    lines.push(`${indent}${'^'.repeat(marked?.text.length ?? width)} ${mark.note ?? ''}`.trimEnd());
  });
  if (workers.from > 0) lines.unshift(`… ${workers.from} workers above`);
  if (workers.to < rows.length) lines.push(`… ${rows.length - workers.to} workers below`);
  return lines.join('\n');
}

function renderRow({ cells, bar }: Row, width: number): string {
  let line = '';
  let column = 0;
  const idleUntil = (end: number): void => {
    for (; column < end; column++) line += `${column === bar ? '|' : '.'}`.padEnd(width + 1);
  };
  for (const { column: start, span, text } of cells) {
    idleUntil(start);
    line += span === 1 ? text.padEnd(width + 1) : `${text.padEnd(span * (width + 1) - 1, '-')} `;
    column += span;
  }
  if (bar !== undefined) idleUntil(bar + 1);
  return line;
}

function windowAround(centre: number, count: number, size = count): { from: number; to: number } {
  const from = Math.max(0, Math.min(centre - Math.floor(size / 2), count - size));
  return { from, to: Math.min(count, from + size) };
}
