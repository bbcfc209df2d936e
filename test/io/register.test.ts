/** `file://` paths where tfjs-node is not loaded at all, and where it is loaded after Millrace. */
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import 'millrace';
import { describe, expect, it } from 'vitest';
import { backends } from '../helpers/backends.js';
import { createModel, temporaryDirectory, weightValues } from './support.js';

async function saveAndLoad(): Promise<void> {
  const directory = join(await temporaryDirectory(), 'saved model');
  const model = createModel();
  await model.save(`file://${directory}`);
  const loaded = await tf.loadLayersModel(`file://${directory}/model.json`);
  expect(weightValues(loaded)).toEqual(weightValues(model));
}

// In this order: what is loaded cannot be unloaded.
describe('file:// paths', () => {
  it('work with millrace alone', saveAndLoad);

  it('may name the directory for loading', async () => {
    const directory = await temporaryDirectory();
    await createModel().save(`file://${directory}`);
    await expect(tf.loadLayersModel(`file://${directory}`)).resolves.toBeDefined();
  });

  it('are the only ones that millrace takes', async () => {
    for (const url of ['http://example.org/model.json', 'localstorage://model', '/model.json']) {
      const ofTfjs = tf.io.getSaveHandlers(url).filter(handler => handler.constructor !== Object);
      expect(tf.io.getSaveHandlers(url)).toHaveLength(ofTfjs.length);
    }
    // Two paths stand for a binary model, which only tfjs-node reads.
    expect(tf.io.getLoadHandlers(['file:///a.pb', 'file:///b.json'])).toEqual([]);
  });

  it('keep working, by one handler, when another router takes them from now on', async () => {
    const handler: tf.io.IOHandler = { load: () => Promise.reject(new Error('mine')) };
    let isAnswering = true;
    tf.io.registerLoadRouter(url =>
      isAnswering && url === 'file:///elsewhere' ? handler : (null as unknown as tf.io.IOHandler),
    );
    expect(tf.io.getLoadHandlers('file:///elsewhere')).toEqual([handler]);
    isAnswering = false;
    expect(tf.io.getLoadHandlers('file:///elsewhere')).toHaveLength(1);
  });

  describe.runIf(backends().includes('tensorflow'))('with tfjs-node loaded after millrace', () => {
    it('are left to tfjs-node', async () => {
      const { io } = await import('@tensorflow/tfjs-node');
      const NodeFileSystem = io.fileSystem('/').constructor;
      const url = 'file:///some/model.json';
      for (const handlers of [tf.io.getSaveHandlers(url), tf.io.getLoadHandlers(url)]) {
        expect(handlers).toHaveLength(1);
        expect(handlers[0]).toBeInstanceOf(NodeFileSystem);
      }
      await saveAndLoad();
    });
  });
});
