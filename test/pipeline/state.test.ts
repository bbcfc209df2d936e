/** Calls that a trainer's state does not allow. */
import * as tf from '@tensorflow/tfjs';
import { type PipelinedModel, StateError } from 'millrace';
import { beforeAll, describe, expect, it } from 'vitest';
import { compiledClassifier, isTraining, open, refusal, samples } from './helpers.js';

beforeAll(() => tf.setBackend('cpu'));

const { x, y } = samples(16);

/** Every method with valid arguments. */
const METHODS: Record<string, (trainer: PipelinedModel) => Promise<unknown>> = {
  fit: trainer => trainer.fit(x, y),
  evaluate: trainer => trainer.evaluate(x, y),
  predict: trainer => trainer.predict(x),
  save: trainer => trainer.save(tf.io.withSaveHandler(async () => ({ modelArtifactsInfo: null! }))),
  resetStates: trainer => trainer.resetStates(),
  memory: trainer => trainer.memory(),
};

describe('while fit runs', () => {
  it('every method is refused with its name and what runs, and fit goes on', async () => {
    const trainer = await open(compiledClassifier());
    const refusals: Error[] = [];
    const { history } = await trainer.fit(x, y, {
      epochs: 2,
      batchSize: 8,
      callbacks: {
        onEpochBegin: async epoch => {
          if (epoch > 0) return;
          for (const call of Object.values(METHODS)) refusals.push(await refusal(() => call(trainer)));
        },
      },
    });
    expect(refusals.map(error => error instanceof StateError)).toEqual(refusals.map(() => true));
    expect(refusals.map(error => error.message)).toEqual(
      Object.keys(METHODS).map(name => expect.stringContaining(`${name}() was called while fit() runs`)),
    );
    for (const { message } of refusals) expect(message).toMatch(/A callback cannot.*model\.predict/);
    expect(history['loss']).toHaveLength(2);
    await expect(trainer.fit(x, y)).resolves.toBeInstanceOf(tf.History);
  });

  it('fit of the wrapped model itself is refused by tfjs, since the model says that it is training', async () => {
    const trainer = await open(compiledClassifier());
    let plain: Error | undefined;
    await trainer.fit(x, y, {
      callbacks: {
        onEpochBegin: async () => {
          expect(isTraining(trainer.model)).toBe(true);
          plain = await refusal(() => trainer.model.fit(x, y));
        },
      },
    });
    expect(plain?.message).toMatch(/another fit\(\)/);
    expect(isTraining(trainer.model)).toBe(false);
  });

  it('a plain fit that runs keeps the trainer out, and both work afterwards', async () => {
    const trainer = await open(compiledClassifier());
    let error: Error | undefined;
    await trainer.model.fit(x, y, {
      verbose: 0,
      callbacks: {
        onEpochBegin: async () => {
          error = await refusal(() => trainer.fit(x, y));
        },
      },
    });
    expect(error).toBeInstanceOf(StateError);
    expect(error!.message).toMatch(/being trained by another fit\(\)/);
    await expect(trainer.fit(x, y)).resolves.toBeInstanceOf(tf.History);
  });
});

describe('after close', () => {
  it('every method is refused with its name, closing again does nothing, and events$ has completed', async () => {
    const trainer = await open(compiledClassifier());
    let isComplete = false;
    trainer.events$.subscribe({ complete: () => (isComplete = true) });
    await trainer.close();
    expect(isComplete).toBe(true);
    for (const [name, call] of Object.entries(METHODS)) {
      const error = await refusal(() => call(trainer));
      expect(error).toBeInstanceOf(StateError);
      expect(error).toMatchObject({ name: 'StateError', code: 'MILLRACE_STATE' });
      expect(error.message).toMatch(
        new RegExp(`^${name}\\(\\) was called on a trainer that is closed.*pipeline\\(`),
      );
    }
    await expect(trainer.close()).resolves.toBeUndefined();
  });

  it('fit$ errors in the same way', async () => {
    const trainer = await open(compiledClassifier());
    await trainer.close();
    const error = await new Promise(resolve => trainer.fit$(x, y).subscribe({ error: resolve }));
    expect(error).toBeInstanceOf(StateError);
  });

  it('the model still trains plainly, and another trainer can be made of it', async () => {
    const model = compiledClassifier();
    const first = await open(model);
    await first.fit(x, y);
    await first.close();
    await model.fit(x, y, { verbose: 0 });
    const second = await open(model);
    await expect(second.fit(x, y)).resolves.toBeInstanceOf(tf.History);
  });

  it('`await using` closes', async () => {
    const model = compiledClassifier();
    let kept: PipelinedModel;
    {
      await using trainer = await open(model);
      kept = trainer;
    }
    await expect(kept.predict(x)).rejects.toBeInstanceOf(StateError);
  });
});
