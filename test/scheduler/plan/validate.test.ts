import { describe, expect, it } from 'vitest';
import { chainTopology } from '#internal/scheduler/plan/chain.js';
import { ScheduleError } from '#internal/scheduler/plan/errors.js';
import { lower } from '#internal/scheduler/plan/lower.js';
import { forwardOnly } from '#internal/scheduler/plan/schedules/forward-only.js';
import {
  formatAction,
  formatPrograms,
  formatSchedule,
  parsePrograms,
  parseSchedule,
} from '#internal/scheduler/plan/text.js';
import { validatePrograms, validateSchedule } from '#internal/scheduler/plan/validate.js';
import { onOwnWorkers, picture, type Schedule, thrownBy } from './support.js';

/** Replaces worker 1's line of a valid 1F1B schedule over three stages and three micro-batches. */
function withWorker1(line: string): Schedule {
  const valid = formatSchedule(onOwnWorkers('1f1b', 3, 3));
  expect(valid).toContain('worker 1: 1F0 1F1 1B0 1W0 1F2 1B1 1W1 1B2 1W2');
  return parseSchedule(valid.replace(/worker 1: .*/, `worker 1: ${line}`));
}

function refusal(schedule: Schedule, options: Parameters<typeof validateSchedule>[1] = {}): ScheduleError {
  const error = thrownBy(() => validateSchedule(schedule, options));
  expect(error).toBeInstanceOf(ScheduleError);
  return error as ScheduleError;
}

function gridOf(error: ScheduleError): string {
  return error.message.slice(error.message.indexOf('\n\n') + 2);
}

describe('malformed schedules', () => {
  it('missing: W of micro-batch 1', () => {
    const error = refusal(withWorker1('1F0 1F1 1B0 1W0 1F2 1B1 1B2 1W2'));
    expect(error).toMatchObject({ code: 'MILLRACE_SCHEDULE', fault: 'missing', worker: 1, index: 8 });
    expect(error.message).toBe(
      picture(`
        worker 1, position 8 (1W1): 1W1 is missing from the list, which ends here

        worker 0  0F0 0F1 0F2 .   .   0B0 0W0 .   0B1 0W1 .   0B2 0W2
        worker 1  .   1F0 1F1 .   1B0 1W0 1F2 1B1 .   .   1B2 1W2
                                                                  ^^^ 1W1 missing
        worker 2  .   .   2F0 2B0 2W0 2F1 2B1 2W1 2F2 2B2 2W2
      `),
    );
  });

  it('doubled: F of micro-batch 1', () => {
    const error = refusal(withWorker1('1F0 1F1 1B0 1W0 1F1 1F2 1B1 1W1 1B2 1W2'));
    expect(error).toMatchObject({ fault: 'doubled', worker: 1, index: 4 });
    expect(error.message).toContain('worker 1, position 4 (1F1): 1F1 is there already, at position 1');
    expect(gridOf(error)).toContain(
      'worker 1  .   1F0 1F1 .   1B0 1W0 1F1 |   1F2 1B1 1W1 1B2 1W2\n                                  ^^^ second 1F1',
    );
  });

  it('doubled: one micro-batch in two grouped W', () => {
    const error = refusal(withWorker1('1F0 1F1 1B0 1B1 1W0,1 1F2 1B2 1W1,2'));
    expect(error).toMatchObject({ fault: 'doubled', worker: 1, index: 7 });
    expect(error.message).toContain('1W1 is there already, at position 4');
  });

  it('out of order: W before B', () => {
    const error = refusal(withWorker1('1F0 1F1 1W0 1B0 1F2 1B1 1W1 1B2 1W2'));
    expect(error).toMatchObject({ fault: 'order', worker: 1, index: 2 });
    expect(formatAction(error.action!)).toBe('1W0');
    expect(error.message).toContain('1W0 needs 1B0 before it');
    expect(gridOf(error)).toContain('^^^ before 1B0');
  });

  it('out of order: B before F', () => {
    const error = refusal(withWorker1('1F0 1B1 1F1 1B0 1W0 1F2 1W1 1B2 1W2'));
    expect(error).toMatchObject({ fault: 'order', worker: 1, index: 1 });
    expect(error.message).toContain('1B1 needs 1F1 before it');
  });

  it('out of range: micro-batch 3 of 3', () => {
    const error = refusal(withWorker1('1F0 1F1 1F3 1B0 1W0 1F2 1B1 1W1 1B2 1W2'));
    expect(error).toMatchObject({ fault: 'shape', worker: 1, index: 2 });
    expect(error.message).toContain('(1F3): micro-batch 3 does not exist; micro-batches count from 0 to 2');
    expect(gridOf(error)).toMatch(/1F3.*\n *\^\^\^ no such micro-batch/);
  });

  it.each([-1, 0.5, Number.NaN])('out of range: micro-batch %d', microBatch => {
    const schedule = onOwnWorkers('gpipe', 1, 1);
    const orders = [
      [{ kind: 'forward' as const, stage: 0, microBatches: [microBatch] }, ...schedule.orders[0]!],
    ];
    expect(refusal({ ...schedule, orders })).toMatchObject({ fault: 'shape', worker: 0, index: 0 });
  });

  it('out of range: stage 7 of 3', () => {
    const error = refusal(withWorker1('1F0 7F1 1F1 1B0 1W0 1F2 1B1 1W1 1B2 1W2'));
    expect(error).toMatchObject({ fault: 'shape', worker: 1, index: 1 });
    expect(error.message).toContain('stage 7 does not exist; stages count from 0 to 2');
  });

  it('wrong worker: stage 0 on worker 1', () => {
    const error = refusal(withWorker1('1F0 0F0 1F1 1B0 1W0 1F2 1B1 1W1 1B2 1W2'));
    expect(error).toMatchObject({ fault: 'shape', worker: 1, index: 1 });
    expect(error.message).toContain('stage 0 is placed on worker 0, not here');
  });

  it('F of two micro-batches at once', () => {
    const error = refusal(withWorker1('1F0,1 1B0 1W0 1F2 1B1 1W1 1B2 1W2'));
    expect(error).toMatchObject({ fault: 'shape', worker: 1, index: 0 });
    expect(error.message).toContain('a forward action names exactly one micro-batch, this one 2');
  });

  it('deadlock: the grid shows how far each worker gets', () => {
    const error = refusal(withWorker1('1F0 1F1 1F2 1B1 1W1 1B0 1W0 1B2 1W2'), {
      topology: {
        stageCount: 3,
        edges: [{ from: 0, to: 1, gradient: true }],
        fedStages: [],
        outputStages: [],
      },
    });
    // The sender of gradients goes 1 0 2, the receiver 0 1 2: found as a message fault before it could deadlock.
    expect(error).toMatchObject({ fault: 'message', worker: 0 });
    const stuck = refusal(
      parseSchedule(
        'schedule stuck stages=2 micro-batches=2 placement=0,1\n' +
          'worker 0: 0F0 0B0 0W0 0F1 0B1 0W1\nworker 1: 1F0 1F1 1B0 1W0 1B1 1W1',
      ),
    );
    expect(stuck).toMatchObject({ fault: 'deadlock', worker: 0, index: 1 });
    expect(stuck.message).toBe(
      picture(`
        worker 0, position 1 (0B0<1): the workers would wait for each other for ever:
          worker 0 at 0B0<1 waits for worker 1 to send on channel B1>0
          worker 1 at 1F1<0 waits for worker 0 to send on channel F0>1

        worker 0  0F0 |   0B0 0W0 0F1 0B1 0W1
                          ^^^ waits for ever
        worker 1  .   1F0 |   1F1 1B0 1W0 1B1 1W1
      `),
    );
  });

  it('deadlock: too few slots for the schedule', () => {
    const slotCounts = new Map([['F0>1', 2]]);
    validateSchedule(onOwnWorkers('1f1b', 2, 4), { slotCounts });
    const error = refusal(onOwnWorkers('gpipe', 2, 4), { slotCounts });
    expect(error).toMatchObject({ fault: 'deadlock', worker: 0, index: 2 });
    expect(formatAction(error.action!)).toBe('0F2>1');
    expect(error.message).toContain('worker 0 at 0F2>1 waits for worker 1 to release a slot of channel F0>1');
  });

  it('exchanges on the wrong side of the step', () => {
    const programs = (worker0: string) =>
      parsePrograms(
        picture(`
        worker 0: 0F0 0F0>1 0B0<1 0B0 0W0 ${worker0}
        worker 1: 1F0<0 1F0 1B0 1B0>0 1W0 1G>0 1S 1V<0
      `),
      );
    const shape = { stageCount: 2, microBatchCount: 1, workerOfStage: [0, 1] };
    validatePrograms(programs('0G<1 0S 0V>1'), shape);
    for (const [worker0, message] of [
      ['0S 0G<1 0V>1', '0G<1 must stand before 0S'],
      ['0G<1 0V>1 0S', '0V>1 must stand behind 0S'],
    ] as const) {
      const error = thrownBy(() => validatePrograms(programs(worker0), shape));
      expect(error).toMatchObject({ fault: 'message', worker: 0 });
      expect((error as Error).message).toContain(message);
    }
  });

  it('messages in another order on the receiving side', () => {
    const error = refusal(withWorker1('1F1 1F0 1B0 1W0 1F2 1B1 1W1 1B2 1W2'));
    expect(error).toMatchObject({ fault: 'message', worker: 1, index: 0 });
    expect(error.message).toContain('(1F1<0): message 0 of channel F0>1 is 0F0>1 on worker 0');
  });

  it('feeds in another order than the driver sends them', () => {
    const schedule = parseSchedule(
      'schedule x stages=1 micro-batches=2 placement=0\nworker 0: 0F1 0F0 0B0 0W0 0B1 0W1',
    );
    const error = refusal(schedule);
    expect(error).toMatchObject({ fault: 'message', worker: 0, index: 1 });
    expect(error.message).toContain('channel Fdriver>0 must go through the micro-batches upwards');
    validateSchedule(schedule, { topology: { ...chainTopology(1), fedStages: [] } });
  });

  it('more live activations than allowed', () => {
    validateSchedule(onOwnWorkers('1f1b', 3, 4), { liveLimit: [3, 2, 1] });
    const error = refusal(onOwnWorkers('1f1b', 3, 4), { liveLimit: 2 });
    expect(error).toMatchObject({ fault: 'memory', worker: 0, index: 2 });
    expect(error.message).toContain('(0F2): this forward makes 3 live activations, and the limit is 2');
    expect(gridOf(error)).toContain('                  ^^^ 3 live');
    expect(refusal(onOwnWorkers('gpipe', 3, 4), { liveLimit: [4, 4, 3] })).toMatchObject({
      worker: 2,
      index: 3,
    });
  });

  it('backwards in a forward-only plan', () => {
    validateSchedule(forwardOnly({ stageCount: 2, microBatchCount: 3, workerOfStage: [0, 1] }), {
      mode: 'predict',
    });
    const error = refusal(onOwnWorkers('gpipe', 1, 1), { mode: 'predict' });
    expect(error).toMatchObject({ fault: 'shape', worker: 0, index: 1 });
    expect(refusal(forwardOnly({ stageCount: 1, microBatchCount: 1, workerOfStage: [0] }))).toMatchObject({
      fault: 'missing',
    });
  });

  it.each([
    [{ stageCount: 0 }, 'stageCount must be a whole number of at least 1, got 0'],
    [{ microBatchCount: 1.5 }, 'microBatchCount must be'],
    [{ workerOfStage: [0] }, 'workerOfStage names a worker for 1 stages, but there are 3'],
    [{ workerOfStage: [0, 2, 2] }, 'worker 1 has no stage: workers count from 0 without gaps'],
    [{ workerOfStage: [0, 1, 3] }, 'stage 2 is placed on worker 3, but there are orders for 3 workers'],
  ])('counts that contradict each other: %j', (change, message) => {
    const error = refusal({ ...onOwnWorkers('1f1b', 3, 3), ...change });
    expect(error).toMatchObject({ fault: 'shape', worker: undefined });
    expect(error.message).toContain(message);
  });

  it('a model that is cut into another number of stages', () => {
    expect(refusal(onOwnWorkers('1f1b', 3, 3), { topology: chainTopology(2) }).message).toContain(
      'the schedule has 3 stages, the model has been cut into 2',
    );
  });

  it('shows only the surroundings of the fault in a large plan', () => {
    const schedule = onOwnWorkers('1f1b', 32, 128);
    const orders = schedule.orders.map((order, worker) => (worker === 20 ? order.toSpliced(150, 1) : order));
    const lines = refusal({ ...schedule, orders }).message.split('\n');
    expect(lines.length).toBeLessThan(24);
    for (const line of lines) expect(line.length).toBeLessThan(200);
    expect(lines.join('\n')).toMatch(/worker 20 .*\n *\^+ /);
  });
});

describe('programs', () => {
  const schedule = onOwnWorkers('1f1b', 2, 2);
  const valid = formatPrograms(lower(schedule, chainTopology(2), { recompute: 'always' }));
  const check = (text: string): void => validatePrograms(parsePrograms(text), schedule);

  it('are accepted as lowered', () => {
    check(valid);
  });

  it.each([
    ['a send is gone', ' 0F1>1', '', 'message', 'message 1 of channel F0>1 is never sent'],
    ['a receive is gone', ' 1F1<0', '', 'message', 'message 1 of channel F0>1 is never received'],
    ['a send stands before its F', '0F1 0F1>1', '0F1>1 0F1', 'message', '0F1>1 must stand behind 0F1'],
    ['a receive stands behind its F', '1F0<0 1F0', '1F0 1F0<0', 'message', '1F0<0 must stand before 1F0'],
    ['a step is gone', ' 1S', '', 'missing', 'stage 1 never steps'],
    ['a step comes twice', ' 1S', ' 1S 1S', 'doubled', 'stage 1 steps twice'],
    ['a step comes too early', '0W0', '0W0 0S', 'order', 'stage 0 has stepped already'],
    [
      'a recompute comes too late',
      '0R0 0B0<1 0B0',
      '0B0<1 0B0 0R0',
      'order',
      'stands once between 0F0 and 0B0',
    ],
    ['a recompute comes twice', '0R0', '0R0 0R0', 'order', 'stands once between 0F0 and 0B0'],
    ['an action is gone', ' 1B1 ', ' ', 'order', '1W1 needs 1B1 before it'],
  ])('are refused where %s', (_, from, to, fault, message) => {
    expect(valid).toContain(from);
    const error = thrownBy(() => check(valid.replace(from, to)));
    expect(error).toMatchObject({ fault });
    expect((error as Error).message).toContain(message);
    expect((error as Error).message).toMatch(/\n\nworker 0 [\s\S]*\^/);
  });

  it('name the position in the program, not in the schedule', () => {
    const error = thrownBy(() => check(valid.replace('1F0<0 1F0', '1F0 1F0<0')));
    expect(error).toMatchObject({ worker: 1, index: 2 });
  });
});
