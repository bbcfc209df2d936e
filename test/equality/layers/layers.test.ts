/** Every layer class of tfjs-layers trains plainly and piped on every backend; docs/layers.md says so. */
import { readFileSync, writeFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { backends, describeOnBackends } from '../../helpers/backends.js';
import { sharedThreads } from '../../helpers/checked-shelf.js';
import {
  buildModel,
  CONTAINERS_AND_CELLS,
  LAYER_CASES,
  UNTRAINABLE_CASES,
} from '../../helpers/layer-cases.js';
import { Sightings, tableText } from './table.js';
import { expectSamePiped, trainPlainly } from './train-both-ways.js';

const DOCUMENT = new URL('../../../docs/layers.md', import.meta.url);
const CLASSES = [...new Set(LAYER_CASES.map(({ className }) => className))].sort();

const sightings = new Sightings();

it('has a case for every registered layer class', () => {
  const registered = Object.entries(tf.serialization.SerializationMap.getMap().classNameMap)
    .filter(([, [made]]) => typeof made === 'function' && made.prototype instanceof tf.layers.Layer)
    .map(([name]) => name);
  expect(registered.length).toBeGreaterThan(50);
  const known = new Set([
    ...CLASSES,
    ...CONTAINERS_AND_CELLS,
    ...UNTRAINABLE_CASES.map(({ className }) => className),
  ]);
  expect(registered.filter(name => !known.has(name))).toEqual([]);
});

describeOnBackends('a layer trains plainly, and piped to the same numbers', backend => {
  const threads = sharedThreads();

  it.each(
    LAYER_CASES.map(layerCase => [`${layerCase.className} ${layerCase.variant}`.trim(), layerCase] as const),
  )('%s', async (_, layerCase) => {
    const { className } = layerCase;
    // Until both are through: one that throws has not trained.
    for (const way of ['plain', 'piped'] as const) sightings.note(className, backend, way, true);
    let done: 'plain' | undefined;
    try {
      const plain = await trainPlainly(layerCase);
      done = 'plain';
      await expectSamePiped(layerCase, plain, backend, threads);
      plain.model.dispose();
    } catch (error) {
      sightings.note(className, backend, 'piped', false);
      if (done === undefined) sightings.note(className, backend, 'plain', false);
      throw error;
    }
  });

  it.each(UNTRAINABLE_CASES.map(layerCase => [layerCase.className, layerCase] as const))(
    '%s does not, as tfjs refuses it',
    async (_, layerCase) => {
      const attempt = async (): Promise<unknown> => {
        const x = tf.zeros([4, ...layerCase.inputShape]);
        return buildModel(layerCase).fit(x, tf.zeros([4, 2]), { verbose: 0 });
      };
      await expect(attempt()).rejects.toThrow();
    },
  );
});

describe.skipIf(backends().length < 3)('docs/layers.md', () => {
  it('says what was seen', () => {
    const text = tableText(CLASSES, sightings);
    if (process.env['MILLRACE_UPDATE_DOCS'] === '1') writeFileSync(DOCUMENT, text);
    expect(readFileSync(DOCUMENT, 'utf8'), 'MILLRACE_UPDATE_DOCS=1 writes it anew').toBe(text);
  });
});
