import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { SumsLayout } from '#internal/protocol/sums-layout.js';
import { SumsRecorder } from '#internal/stages/sums.js';
import { useBackend } from '../helpers/backends.js';
import { tensorCount } from '../helpers/compare.js';

const meanOfOutputs = (_: tf.Tensor, output: tf.Tensor): tf.Tensor => tf.mean(output);
/** A ratio of sums: for the halves [1, 1] and [1, 3] it is not the mean of what they give. */
const largestShare = (_: tf.Tensor, output: tf.Tensor): tf.Tensor => tf.div(tf.max(output), tf.sum(output));

const loss = { loss: meanOfOutputs, isOwnLoss: false, lossWeight: 1 };
const functions = [
  { ...loss, metrics: [{ evaluate: meanOfOutputs, decomposable: true }] },
  {
    ...loss,
    metrics: [
      { evaluate: largestShare, decomposable: false },
      { evaluate: meanOfOutputs, decomposable: true },
    ],
  },
];
const layout = new SumsLayout([1, 2]);

describe('the sums of a mini-batch', () => {
  beforeAll(() => useBackend('cpu'));

  it('have a place for every loss, then every metric, then the penalty', () => {
    expect([layout.loss(0), layout.loss(1)]).toEqual([0, 1]);
    expect([layout.metric(0, 0), layout.metric(1, 0), layout.metric(1, 1)]).toEqual([2, 3, 4]);
    expect([layout.penalty, layout.count]).toEqual([5, 6]);
  });

  it('weight micro-batches by their rows and gather what is no mean', () => {
    const before = tensorCount();
    const recorder = new SumsRecorder(layout, functions);
    const into = new Float64Array(layout.count).fill(100);
    for (const values of [[1, 1, 4], [2]]) {
      const output = tf.tensor2d(values, [values.length, 1]);
      for (const index of [0, 1]) recorder.addLoss(index, tf.util.sum(values) / values.length, values.length);
      recorder.addMetrics(0, output, output, values.length, false);
      recorder.addMetrics(1, output, output, values.length, false);
      output.dispose();
    }
    recorder.addPenalty(0.5);
    recorder.flush(into, 4, 0, undefined);
    // 1 + 1 + 4 + 2 = 8, and the largest share is 4 / 8, for each of 4 rows.
    expect([...into]).toEqual([108, 108, 108, 102, 108, 100.5]);
    recorder.flush(into, 4, 0, undefined);
    expect([...into]).toEqual([108, 108, 108, 102, 108, 100.5]);
    expect(tensorCount()).toBe(before);
  });

  it('evaluate such a metric at once when there is one micro-batch', () => {
    const recorder = new SumsRecorder(layout, functions);
    const into = new Float64Array(layout.count);
    const output = tf.tensor2d([1, 3], [2, 1]);
    recorder.addMetrics(1, output, output, 2, true);
    output.dispose();
    recorder.flush(into, 2, 0, undefined);
    expect([...into]).toEqual([0, 0, 0, 1.5, 4, 0]);
  });

  it('drop what a broken mini-batch has left', () => {
    const before = tensorCount();
    const recorder = new SumsRecorder(layout, functions);
    const output = tf.tensor2d([1, 3], [2, 1]);
    recorder.addMetrics(1, output, output, 2, false);
    output.dispose();
    recorder.reset();
    expect(tensorCount()).toBe(before);
    const into = new Float64Array(layout.count);
    recorder.flush(into, 2, 0, undefined);
    expect([...into]).toEqual([0, 0, 0, 0, 0, 0]);
  });
});
