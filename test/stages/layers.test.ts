import * as tf from '@tensorflow/tfjs';
import { expect, it } from 'vitest';
import { describeWhole, readGraph } from '#internal/model/index.js';
import { StageLayers } from '#internal/stages/layers.js';
import type { Value } from '#internal/stages/value.js';
import { describeOnBackends } from '../helpers/backends.js';
import { tensorCount } from '../helpers/compare.js';

const { layers } = tf;

describeOnBackends('the layers of a stage', () => {
  it.each([
    ['an LSTM', () => layers.lstm({ units: 2, dropout: 0.5, recurrentDropout: 0.5 })],
    [
      'a bidirectional GRU',
      () => layers.bidirectional({ layer: layers.gru({ units: 2, dropout: 0.5 }), mergeMode: 'sum' }),
    ],
    [
      'stacked cells',
      () =>
        layers.rnn({
          cell: [0, 1].map(() => layers.simpleRNNCell({ units: 2, recurrentDropout: 0.5 })),
        }),
    ],
  ])('take the dropout masks of their last call with them: %s', (_, make) => {
    const model = tf.sequential({
      layers: [layers.reshape({ inputShape: [6], targetShape: [3, 2] }), make()],
    });
    model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
    const spec = describeWhole(readGraph(model));
    const before = tensorCount();
    const stage = new StageLayers(spec);
    tf.tidy(() => {
      const values = new Map<number, Value>([
        [spec.fedInputs[0]!.value, { tensor: tf.ones([4, 6]), mask: undefined }],
      ]);
      stage.call(values, true);
    });
    // The masks that tfjs keeps: without any, this test would be about nothing.
    expect(tensorCount()).toBeGreaterThan(before + model.weights.length);
    stage.dispose();
    expect(tensorCount()).toBe(before);
    model.dispose();
  });
});
