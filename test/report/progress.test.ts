import { showProgress, type TrainerEvent } from 'millrace';
import { Subject } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { FakeStream } from './support.js';

const SAMPLES = 200;

/** A trainer that does what it is told, at times that it is told. */
class ScriptedTrainer {
  readonly events$ = new Subject<TrainerEvent>();
  nowMs = 0;
  #step = 0;

  begin(epochs = 1): void {
    this.events$.next({ kind: 'train-begin', epochs, stepsPerEpoch: 2, samples: SAMPLES });
  }

  /** As a dataset does: without a number of samples, and perhaps of mini-batches. */
  beginDataset(stepsPerEpoch: number | undefined): void {
    this.events$.next({ kind: 'train-begin', epochs: 1, stepsPerEpoch, samples: undefined });
  }

  beginEpoch(epoch: number): void {
    this.events$.next({ kind: 'epoch-begin', epoch });
  }

  step(epoch: number, rows: number, takesMs: number, logs: Record<string, number>): void {
    this.nowMs += takesMs;
    const step = this.#step++;
    this.events$.next({ kind: 'step', epoch, batch: step, step, rows, logs, actions: [] });
  }

  endEpoch(epoch: number, logs: Record<string, number>): void {
    this.events$.next({ kind: 'epoch-end', epoch, logs });
  }

  end(): void {
    this.events$.next({ kind: 'train-end', stopped: false });
  }
}

function watch(isTTY: boolean, lines = false) {
  const trainer = new ScriptedTrainer();
  const stream = new FakeStream(isTTY);
  const subscription = showProgress(trainer, { stream, now: () => trainer.nowMs, lines });
  return { trainer, stream, subscription };
}

describe.each([
  { place: 'in a terminal', isTTY: true },
  { place: 'in a file', isTTY: false },
])('progress $place', ({ isTTY }) => {
  it('shows one epoch a line, with the means of the epoch and its speed', () => {
    const { trainer, stream } = watch(isTTY);
    trainer.begin(2);
    for (const epoch of [0, 1]) {
      trainer.beginEpoch(epoch);
      trainer.step(epoch, 150, 1500, { loss: 2, acc: 0.5 });
      trainer.step(epoch, 50, 500, { loss: 1, acc: 0.9 });
      trainer.endEpoch(epoch, { loss: 1.75, acc: 0.6, val_loss: 3, val_acc: 0.25 });
    }
    trainer.end();
    const bar = isTTY ? ` ${'█'.repeat(24)} 100%` : '';
    const facts = 'loss 1.750 | accuracy 0.6000 | val_loss 3.000 | val_accuracy 0.2500 | 100 samples/s | 2 s';
    const lines = isTTY ? stream.lastDrawnLines : stream.written.split('\n').slice(0, -1);
    expect(lines).toEqual([`epoch 1/2${bar} | ${facts}`, `epoch 2/2${bar} | ${facts}`]);
  });

  it('keeps a warning until the epoch is over', () => {
    const { trainer, stream } = watch(isTTY);
    trainer.begin();
    trainer.beginEpoch(0);
    trainer.step(0, 200, 1000, { loss: 2 });
    trainer.events$.next({ kind: 'warning', code: 'SLOW', message: 'something is slow' });
    expect(stream.written).not.toContain('slow');
    trainer.endEpoch(0, { loss: 2 });
    expect(stream.written.split('\n').at(-2)).toBe('warning: something is slow');
  });

  it('shows at once what it is warned of before the training', () => {
    const { trainer, stream } = watch(isTTY);
    trainer.events$.next({ kind: 'warning', code: 'SLOW', message: 'something is slow' });
    expect(stream.written).toBe('warning: something is slow\n');
  });

  it('writes nothing more once it is unsubscribed from', () => {
    const { trainer, stream, subscription } = watch(isTTY);
    trainer.begin();
    trainer.beginEpoch(0);
    subscription.unsubscribe();
    const { written } = stream;
    trainer.step(0, 200, 1000, { loss: 2 });
    trainer.endEpoch(0, { loss: 2 });
    expect(stream.written).toBe(written);
    expect(trainer.events$.observed).toBe(false);
  });

  it('ends with its trainer', () => {
    const { trainer, subscription } = watch(isTTY);
    trainer.begin();
    trainer.beginEpoch(0);
    trainer.events$.complete();
    expect(subscription.closed).toBe(true);
  });

  it('writes nothing when nothing is trained', () => {
    const { trainer, stream } = watch(isTTY);
    trainer.events$.complete();
    expect(stream.written).toBe('');
  });
});

describe('progress in a terminal', () => {
  it('shows the time left while an epoch runs', () => {
    const { trainer, stream, subscription } = watch(true);
    trainer.begin();
    trainer.beginEpoch(0);
    trainer.step(0, 50, 1000, { loss: 2, acc: 0.5 });
    subscription.unsubscribe();
    const bar = `${'█'.repeat(6)}${'░'.repeat(18)}`;
    expect(stream.lastDrawnLines).toEqual([
      `epoch 1/1 ${bar} 25% | loss 2.000 | accuracy 0.5000 | 50 samples/s | ETA 3 s`,
    ]);
  });

  it('leaves the bar of a failed epoch on a line of its own', () => {
    const { trainer, stream } = watch(true);
    trainer.begin();
    trainer.beginEpoch(0);
    trainer.step(0, 100, 1000, { loss: 2 });
    trainer.events$.next({ kind: 'train-end', stopped: true });
    expect(stream.written.endsWith('\n')).toBe(true);
    expect(stream.lastDrawnLines).toHaveLength(1);
  });
});

describe('progress of a dataset', () => {
  it('counts mini-batches where their number is known', () => {
    const { trainer, stream, subscription } = watch(true);
    trainer.beginDataset(4);
    trainer.beginEpoch(0);
    trainer.step(0, 50, 1000, { loss: 2 });
    subscription.unsubscribe();
    const bar = `${'█'.repeat(6)}${'░'.repeat(18)}`;
    expect(stream.lastDrawnLines).toEqual([`epoch 1/1 ${bar} 25% | loss 2.000 | 50 samples/s | ETA 3 s`]);
  });

  it('shows no bar where nobody knows how long it is', () => {
    const { trainer, stream } = watch(true);
    trainer.beginDataset(undefined);
    trainer.beginEpoch(0);
    trainer.step(0, 50, 1000, { loss: 2 });
    trainer.step(0, 30, 1000, { loss: 2 });
    trainer.endEpoch(0, { loss: 2 });
    expect(stream.lastDrawnLines).toEqual(['epoch 1/1 | loss 2.000 | 40 samples/s | 2 s']);
  });

  it('tells the samples so far in a file', () => {
    const { trainer, stream } = watch(false);
    trainer.beginDataset(undefined);
    trainer.beginEpoch(0);
    trainer.step(0, 50, 12_000, { loss: 2 });
    expect(stream.written).toBe('epoch 1/1 50 samples | loss 2.000 | 4 samples/s | 12 s\n');
  });
});

describe('progress as lines', () => {
  it('draws no bar in a terminal either', () => {
    const { trainer, stream } = watch(true, true);
    trainer.begin();
    trainer.beginEpoch(0);
    trainer.step(0, 200, 1000, { loss: 2 });
    trainer.endEpoch(0, { loss: 2 });
    expect(stream.written).toBe('epoch 1/1 | loss 2.000 | 200 samples/s | 1 s\n');
  });
});

describe('progress in a file', () => {
  it('gives a sign of life every ten seconds', () => {
    const { trainer, stream } = watch(false);
    trainer.begin();
    trainer.beginEpoch(0);
    for (let step = 0; step < 8; step++) trainer.step(0, 20, 3000, { loss: 8 - step });
    expect(stream.written.split('\n')).toEqual([
      'epoch 1/1 40% | loss 6.500 | 7 samples/s | ETA 18 s',
      'epoch 1/1 80% | loss 4.500 | 7 samples/s | ETA 6 s',
      '',
    ]);
  });

  it('does not write a single control character', () => {
    const { trainer, stream } = watch(false);
    trainer.begin();
    trainer.beginEpoch(0);
    trainer.step(0, 200, 20_000, { loss: 2 });
    trainer.endEpoch(0, { loss: 2 });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what this looks for
    expect(stream.written).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
  });

  it('writes no line for an epoch that broke off', () => {
    const { trainer, stream } = watch(false);
    trainer.begin();
    trainer.beginEpoch(0);
    trainer.step(0, 100, 1000, { loss: 2 });
    trainer.end();
    expect(stream.written).toBe('');
  });
});
