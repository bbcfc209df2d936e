/** Millrace's files and tfjs-node's are the same files. Here tfjs-node is loaded before Millrace. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { backends, useBackend } from '../helpers/backends.js';
import { createModel, temporaryDirectory, weightValues } from './support.js';

const hasTensorflow = backends().includes('tensorflow');
type Handler = (path: string) => tf.io.IOHandler;

describe.runIf(hasTensorflow)('files of tfjs-node', () => {
  let tfjsNode: Handler;
  let millrace: Handler;

  beforeAll(async () => {
    await useBackend('tensorflow');
    tfjsNode = (await import('@tensorflow/tfjs-node')).io.fileSystem;
    millrace = (await import('millrace')).fileSystem;
    await tf.setBackend('cpu');
  });

  it.each([false, true])('are the same byte for byte (with optimizer: %s)', async includeOptimizer => {
    const model = createModel();
    model.setUserDefinedMetadata({ purpose: 'a comparison' });
    await model.trainOnBatch(tf.ones([2, 3]), tf.ones([2, 2]));
    const [ours, theirs] = [await temporaryDirectory(), await temporaryDirectory()];
    await model.save(millrace(ours), { includeOptimizer });
    await model.save(tfjsNode(theirs), { includeOptimizer });
    for (const file of ['model.json', 'weights.bin']) {
      expect(await readFile(join(ours, file), 'utf8')).toBe(await readFile(join(theirs, file), 'utf8'));
    }
  });

  it('are loaded by millrace', async () => {
    const directory = await temporaryDirectory();
    const model = createModel();
    await model.save(tfjsNode(directory));
    expect(weightValues(await tf.loadLayersModel(millrace(directory)))).toEqual(weightValues(model));
  });

  it('may be written by millrace', async () => {
    const directory = await temporaryDirectory();
    const model = createModel();
    await model.save(millrace(directory));
    const loaded = await tf.loadLayersModel(tfjsNode(join(directory, 'model.json')));
    expect(weightValues(loaded)).toEqual(weightValues(model));
  });

  it('keep their file:// handler when millrace is loaded later', () => {
    const url = 'file:///some/model.json';
    const NodeFileSystem = tfjsNode('/').constructor;
    for (const handlers of [tf.io.getSaveHandlers(url), tf.io.getLoadHandlers(url)]) {
      expect(handlers).toHaveLength(1);
      expect(handlers[0]).toBeInstanceOf(NodeFileSystem);
    }
  });
});

describe.skipIf(hasTensorflow)('files of tfjs-node, which does not load here', () => {
  it('are what millrace writes: the members of model.json in their order', async () => {
    const { fileSystem } = await import('millrace');
    const directory = await temporaryDirectory();
    await createModel().save(fileSystem(directory));
    const text = await readFile(join(directory, 'model.json'), 'utf8');
    expect(Object.keys(JSON.parse(text))).toEqual([
      'modelTopology',
      'weightsManifest',
      'format',
      'generatedBy',
      'convertedBy',
    ]);
  });
});
