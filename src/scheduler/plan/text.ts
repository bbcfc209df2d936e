/**
 * The text form of actions, programs and schedules. Plans, logs, traces, tests and errors all use this one form.
 *
 *   1F0  1B0  1W0,1  1R0   stage 1: forward, backward for the input, backward for the weights (of micro-batches
 *                          0 and 1), recompute
 *   1F0>2  2F0<1           stage 1 sends the activation of micro-batch 0 to stage 2; stage 2 receives it
 *   2B0>1  1B0<2           the same for its gradient, backwards
 *   0F0<driver  3F0>driver fed by the driver; handed to the driver
 *   1S                     optimizer step
 *   1G>0  0G<1             gradients of weights that stage 1 has a copy of, for stage 0, which owns them
 *   0V>1  1V<0             their new values
 *   1N>0  0T>1             squared norm of a stage's gradients; the sum over all stages
 *
 * A program is one line, `worker 0: 0F0<driver 0F0 0F0>1`. A schedule is a header and one such line a worker:
 *
 *   schedule gpipe stages=2 micro-batches=1 placement=0,1
 *   worker 0: 0F0 0B0 0W0
 *   worker 1: 1F0 1B0 1W0
 *
 * Letters follow Zero Bubble (arXiv 2401.10241): B is the gradient of the input alone.
 */
import type { Action, ComputeAction, ExchangePass, Peer, Program } from '../../protocol/action.js';
import { formatAction, PASS_LETTERS } from '../../protocol/action-text.js';
import type { Schedule } from '../../protocol/schedule.js';
import { Scanner } from './scanner.js';

export { formatAction };

const PLAIN_NAME = /^[^\s"]+$/;

export function formatProgram(program: Program): string {
  return program.map(formatAction).join(' ');
}

export function formatPrograms(programs: readonly Program[]): string {
  return programs
    .map((program, worker) => `worker ${worker}: ${formatProgram(program)}`.trimEnd())
    .join('\n');
}

export function formatSchedule(schedule: Schedule): string {
  const { name, stageCount, microBatchCount, workerOfStage, orders } = schedule;
  const shownName = PLAIN_NAME.test(name) ? name : JSON.stringify(name);
  const header =
    `schedule ${shownName} stages=${stageCount} micro-batches=${microBatchCount} ` +
    `placement=${workerOfStage.join(',')}`;
  return `${header}\n${formatPrograms(orders)}`;
}

export function parseAction(text: string): Action {
  const scanner = new Scanner(text);
  const action = scanAction(scanner);
  scanner.end('the end of the action');
  return action;
}

/** Parses one line of actions, without a `worker` prefix. */
export function parseProgram(text: string): Program {
  const scanner = new Scanner(text);
  scanner.skipSpaces();
  return scanActions(scanner);
}

/** Parses `worker N:` lines; blank lines are skipped. */
export function parsePrograms(text: string): readonly Program[] {
  return scanWorkers(filledLines(text));
}

/** Parses a schedule. Syntax alone: whether it can run is the validator's to say. */
export function parseSchedule(text: string): Schedule {
  const [first, ...rest] = filledLines(text);
  const header = first ?? new Scanner(text);
  header.literal('schedule');
  header.space();
  const name = scanName(header);
  header.space();
  header.literal('stages=');
  const stageCount = header.number('the number of stages');
  header.space();
  header.literal('micro-batches=');
  const microBatchCount = header.number('the number of micro-batches');
  header.space();
  header.literal('placement=');
  const workerOfStage = scanNumbers(header, "a stage's worker");
  header.end('the end of the header');
  return { name, stageCount, microBatchCount, workerOfStage, orders: scanOrders(rest) };
}

function filledLines(text: string): Scanner[] {
  return text
    .split(/\r?\n/)
    .map((content, index) => new Scanner(content, index + 1))
    .filter(scanner => !scanner.blank);
}

function scanOrders(lines: readonly Scanner[]): readonly (readonly ComputeAction[])[] {
  const isCompute = (action: Action): action is ComputeAction =>
    action.kind === 'forward' || action.kind === 'backwardInput' || action.kind === 'backwardWeight';
  return scanWorkers(lines, (action, scanner, column) => {
    if (!isCompute(action)) scanner.fail('a compute action (F, B or W), all that a schedule holds', column);
  }) as readonly (readonly ComputeAction[])[];
}

type ActionCheck = (action: Action, scanner: Scanner, column: number) => void;

function scanWorkers(lines: readonly Scanner[], check?: ActionCheck): readonly Program[] {
  return lines.map((scanner, worker) => {
    scanner.literal(`worker ${worker}:`);
    scanner.skipSpaces();
    return scanActions(scanner, check);
  });
}

function scanActions(scanner: Scanner, check?: ActionCheck): Program {
  const actions: Action[] = [];
  while (!scanner.done) {
    const { column } = scanner;
    const action = scanAction(scanner);
    check?.(action, scanner, column);
    actions.push(action);
    if (!scanner.done) scanner.space();
  }
  return actions;
}

function scanAction(scanner: Scanner): Action {
  const stage = scanner.number('an action, beginning with its stage number');
  const letter = scanner.oneOf(
    'FBWRSGVPUNT',
    "a letter of 'F', 'B', 'W', 'R', 'S', 'G', 'V', 'P', 'U', 'N' or 'T'",
  );
  if (letter === 'S') return { kind: 'step', stage };
  const exchange = EXCHANGES.get(letter);
  if (exchange !== undefined) return scanExchange(scanner, stage, exchange);
  const microBatches = scanNumbers(scanner, 'a micro-batch number');
  if (letter === 'W') return { kind: 'backwardWeight', stage, microBatches };
  if (letter === 'R') return { kind: 'recompute', stage, microBatches };
  const arrow = scanner.optional('>') ?? scanner.optional('<');
  if (arrow === undefined) return { kind: letter === 'F' ? 'forward' : 'backwardInput', stage, microBatches };
  return {
    kind: arrow === '>' ? 'send' : 'receive',
    stage,
    microBatches,
    pass: letter === 'F' ? 'forward' : 'backward',
    peer: scanPeer(scanner),
  };
}

const EXCHANGES: ReadonlyMap<string, ExchangePass> = new Map(
  Object.entries(PASS_LETTERS)
    .filter(([pass]) => pass !== 'forward' && pass !== 'backward')
    .map(([pass, letter]) => [letter, pass as ExchangePass]),
);

function scanExchange(scanner: Scanner, stage: number, pass: ExchangePass): Action {
  const kind = scanner.oneOf('<>', "'<' or '>'") === '>' ? 'send' : 'receive';
  return { kind, stage, microBatches: [], pass, peer: scanner.number('a stage number') };
}

function scanPeer(scanner: Scanner): Peer {
  return scanner.optional('driver') === undefined ? scanner.number("a stage number or 'driver'") : 'driver';
}

function scanNumbers(scanner: Scanner, expected: string): number[] {
  const numbers = [scanner.number(expected)];
  while (scanner.optional(',') !== undefined) numbers.push(scanner.number(expected));
  return numbers;
}

function scanName(scanner: Scanner): string {
  const quoted = scanner.match(/"(?:[^"\\]|\\.)*"/y);
  if (quoted === undefined) return scanner.match(/[^\s"]+/y) ?? scanner.fail("the schedule's name");
  try {
    return JSON.parse(quoted) as string;
  } catch {
    return scanner.fail('a name quoted as in JSON', scanner.column - quoted.length);
  }
}
