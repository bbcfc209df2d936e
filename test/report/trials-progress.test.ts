/** Trainings side by side, shown in one terminal or written to one file. */
import type { TrainerEvent } from 'millrace';
import { Subject } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { TrialsProgress } from '#internal/report/trials-progress.js';
import { FakeStream } from './support.js';

function show(isTTY: boolean, lines = false) {
  const stream = new FakeStream(isTTY);
  const clock = { ms: 0 };
  const progress = new TrialsProgress({ stream, lines, now: () => clock.ms });
  const begin = (name: string) => {
    const events$ = new Subject<TrainerEvent>();
    const shown = progress.begin(name);
    const subscription = shown.watch({ events$ });
    events$.next({ kind: 'train-begin', epochs: 2, stepsPerEpoch: 2, samples: 100 });
    const epoch = (number: number, loss: number): void => {
      events$.next({ kind: 'epoch-begin', epoch: number });
      clock.ms += 1_000;
      const step = { epoch: number, batch: 0, step: 0, rows: 50, logs: { loss }, actions: [] };
      events$.next({ kind: 'step', ...step });
    };
    const endEpoch = (number: number, loss: number): void =>
      events$.next({ kind: 'epoch-end', epoch: number, logs: { loss } });
    return { events$, epoch, endEpoch, subscription, end: shown.end };
  };
  return { stream, progress, begin, clock };
}

describe('in a file', () => {
  it('every line begins with the name of its training', () => {
    const { stream, progress, begin } = show(false);
    const [a, b] = [begin('a'), begin('b')];
    a.epoch(0, 2);
    b.epoch(0, 3);
    a.endEpoch(0, 2);
    b.events$.next({ kind: 'warning', code: 'SLOW', message: 'something is slow' });
    b.endEpoch(0, 3);
    a.end({ status: 'completed' });
    b.end({ status: 'failed', error: new Error('no such layer') });
    progress.close();
    expect(stream.written.split('\n')).toEqual([
      'a | epoch 1/2 | loss 2.000 | 50 samples/s | 1 s',
      'b | epoch 1/2 | loss 3.000 | 50 samples/s | 1 s',
      'b | warning: something is slow',
      'a | completed after 2 s',
      'b | failed after 2 s: no such layer',
      '',
    ]);
  });

  it('or with lines asked for, there are no bars in a terminal either', () => {
    const { stream, progress, begin } = show(true, true);
    const a = begin('a');
    a.epoch(0, 2);
    a.endEpoch(0, 2);
    progress.close();
    expect(stream.written).toBe('a | epoch 1/2 | loss 2.000 | 50 samples/s | 1 s\n');
  });
});

describe('in a terminal', () => {
  it('each training that runs has a bar, and leaves a line when it is over', () => {
    const { stream, progress, begin } = show(true);
    const [a, b] = [begin('a'), begin('b')];
    a.epoch(0, 2);
    b.epoch(0, 3);
    a.end({ status: 'cancelled' });
    const { length } = stream.written;
    b.endEpoch(0, 4);
    progress.close();
    const bar = `${'█'.repeat(12)}${'░'.repeat(12)}`;
    expect(stream.written).toContain(`b | epoch 1/2 ${bar} 50% | loss 3.000 | 50 samples/s | ETA 1 s`);
    expect(stream.lastDrawnLines).toContain('a | cancelled after 2 s');
    const rest = stream.written.slice(length);
    expect(rest).toContain('b | epoch 1/2');
    expect(rest).not.toContain('a | epoch');
  });

  it('the bar of a training goes on with its next epoch', () => {
    const { stream, progress, begin } = show(true);
    const a = begin('a');
    a.epoch(0, 2);
    a.endEpoch(0, 2);
    a.epoch(1, 1);
    progress.close();
    expect(stream.written).toContain('a | epoch 2/2');
    expect(stream.lastDrawnLines.filter(line => line.includes('epoch'))).toHaveLength(1);
  });

  it('nothing is drawn for one that has never trained', () => {
    const { stream, progress, begin } = show(true);
    begin('a').end({ status: 'failed', error: new Error('no model') });
    progress.close();
    expect(stream.lastDrawnLines.filter(line => line !== '')).toEqual(['a | failed after 0 s: no model']);
  });
});
