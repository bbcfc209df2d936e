import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ScheduleSyntaxError } from '#internal/scheduler/plan/errors.js';
import {
  formatAction,
  formatPrograms,
  formatSchedule,
  parseAction,
  parseProgram,
  parsePrograms,
  parseSchedule,
} from '#internal/scheduler/plan/text.js';
import { onOwnWorkers, picture, plans, thrownBy } from './support.js';

const numbers = fc.nat({ max: 5000 });
const micro = fc.array(numbers, { minLength: 1, maxLength: 4 });
const actions = fc.oneof(
  fc.record({
    kind: fc.constantFrom('forward' as const, 'backwardInput' as const, 'backwardWeight' as const),
    stage: numbers,
    microBatches: micro,
  }),
  fc.record({ kind: fc.constant('recompute' as const), stage: numbers, microBatches: micro }),
  fc.record({
    kind: fc.constantFrom('send' as const, 'receive' as const),
    stage: numbers,
    microBatches: micro,
    pass: fc.constantFrom('forward' as const, 'backward' as const),
    peer: fc.oneof(numbers, fc.constant('driver' as const)),
  }),
  fc.record({ kind: fc.constant('step' as const), stage: numbers }),
  fc.record({
    kind: fc.constantFrom('send' as const, 'receive' as const),
    stage: numbers,
    microBatches: fc.constant([] as const),
    pass: fc.constantFrom('tied-gradient', 'tied-weight', 'partial-norm', 'total-norm'),
    peer: numbers,
  }),
);

describe('text form', () => {
  it.each([
    ['1F0', { kind: 'forward', stage: 1, microBatches: [0] }],
    ['1B0', { kind: 'backwardInput', stage: 1, microBatches: [0] }],
    ['1W0,1', { kind: 'backwardWeight', stage: 1, microBatches: [0, 1] }],
    ['1R0', { kind: 'recompute', stage: 1, microBatches: [0] }],
    ['1F0>2', { kind: 'send', stage: 1, microBatches: [0], pass: 'forward', peer: 2 }],
    ['1F0<0', { kind: 'receive', stage: 1, microBatches: [0], pass: 'forward', peer: 0 }],
    ['1B0>0', { kind: 'send', stage: 1, microBatches: [0], pass: 'backward', peer: 0 }],
    ['1B0<2', { kind: 'receive', stage: 1, microBatches: [0], pass: 'backward', peer: 2 }],
    ['0F0<driver', { kind: 'receive', stage: 0, microBatches: [0], pass: 'forward', peer: 'driver' }],
    ['3F0>driver', { kind: 'send', stage: 3, microBatches: [0], pass: 'forward', peer: 'driver' }],
    ['1S', { kind: 'step', stage: 1 }],
    ['1G>0', { kind: 'send', stage: 1, microBatches: [], pass: 'tied-gradient', peer: 0 }],
    ['1V<0', { kind: 'receive', stage: 1, microBatches: [], pass: 'tied-weight', peer: 0 }],
    ['1N>0', { kind: 'send', stage: 1, microBatches: [], pass: 'partial-norm', peer: 0 }],
    ['1T<0', { kind: 'receive', stage: 1, microBatches: [], pass: 'total-norm', peer: 0 }],
  ] as const)('writes and reads %s', (text, action) => {
    expect(formatAction(action)).toBe(text);
    expect(parseAction(text)).toEqual(action);
  });

  it('reads back every action and program that it writes', () => {
    fc.assert(
      fc.property(fc.array(fc.array(actions, { maxLength: 8 }), { maxLength: 5 }), programs => {
        expect(parsePrograms(formatPrograms(programs))).toEqual(programs);
        for (const action of programs.flat()) expect(parseAction(formatAction(action))).toEqual(action);
      }),
    );
  });

  it('reads back every schedule that it writes, whatever its name', () => {
    fc.assert(
      fc.property(plans, fc.string({ unit: 'grapheme' }), ({ schedule }, name) => {
        expect(parseSchedule(formatSchedule({ ...schedule, name }))).toEqual({ ...schedule, name });
      }),
    );
  });

  it('carries a schedule through JSON as it is', () => {
    const schedule = onOwnWorkers('1f1b', 3, 4);
    expect(JSON.parse(JSON.stringify(schedule))).toEqual(schedule);
  });

  it('lays a schedule out as a header and a line per worker', () => {
    expect(formatSchedule(onOwnWorkers('1f1b', 2, 2))).toBe(
      picture(`
        schedule 1f1b stages=2 micro-batches=2 placement=0,1
        worker 0: 0F0 0F1 0B0 0W0 0B1 0W1
        worker 1: 1F0 1B0 1W0 1F1 1B1 1W1
      `),
    );
  });

  it('skips blank lines and spare spaces', () => {
    const text = '\nschedule  x stages=1 micro-batches=1   placement=0 \r\n\nworker 0:  0F0   0B0 0W0  \n\n';
    expect(formatSchedule(parseSchedule(text))).toBe(
      'schedule x stages=1 micro-batches=1 placement=0\nworker 0: 0F0 0B0 0W0',
    );
  });
});

describe('syntax errors', () => {
  const header = 'schedule x stages=2 micro-batches=1 placement=0,1';
  it.each([
    ['', 1, 1, "'schedule'"],
    ['plan x', 1, 1, "'schedule'"],
    ['schedule x stage=2', 1, 12, "'stages='"],
    ['schedule x stages=two', 1, 19, 'the number of stages'],
    ['schedule x stages=2 micro-batches=1 placement=0,', 1, 49, "a stage's worker"],
    ['schedule "x\\q" stages=2', 1, 10, 'a name quoted as in JSON'],
    [`${header} more`, 1, 51, 'the end of the header'],
    [`${header}\nworker 1: 0F0`, 2, 1, "'worker 0:'"],
    [
      `${header}\nworker 0: 0F0\nworker 1: 1F0 1X0`,
      3,
      16,
      "a letter of 'F', 'B', 'W', 'R', 'S', 'G', 'V', 'P', 'U', 'N' or 'T'",
    ],
    [`${header}\nworker 0: 0F0 0F0>1`, 2, 15, 'a compute action (F, B or W), all that a schedule holds'],
    [`${header}\nworker 0: F0`, 2, 11, 'an action, beginning with its stage number'],
    [`${header}\nworker 0: 0F`, 2, 13, 'a micro-batch number'],
    [`${header}\nworker 0: 0F00B0`, 2, 15, 'a space'],
    [`${header}\nworker 0: 0F0>x`, 2, 15, "a stage number or 'driver'"],
    [`${header}\nworker 0: 0F99999999999999999999`, 2, 13, 'a micro-batch number, at most 9007199254740991'],
  ])('%j fails at line %i, column %i', (text, line, column, expected) => {
    const error = thrownBy(() => parseSchedule(text));
    expect(error).toBeInstanceOf(ScheduleSyntaxError);
    expect(error).toMatchObject({ code: 'MILLRACE_SCHEDULE_SYNTAX', line, column, expected });
    expect((error as Error).message).toContain(`line ${line}, column ${column}: expected ${expected}`);
  });

  it('says what it found instead', () => {
    expect(() => parseProgram('1F0 oops')).toThrow(
      "expected an action, beginning with its stage number, but found 'oops'",
    );
    expect(() => parseAction('1F')).toThrow('expected a micro-batch number, but the text ends');
    expect(() => parseAction('1F0 1F1')).toThrow('expected the end of the action, but found');
  });
});
