/** Saving models to files and loading them from there, without any native backend. */
import { resolve } from 'node:path';
import type * as tf from '@tensorflow/tfjs';
import { loadModel } from './load-model.js';
import { saveModel } from './save-model.js';

/**
 * A handler for `model.save()` and `tf.loadLayersModel()` that keeps a model as a directory with `model.json` and
 * `weights.bin`, in the format of tfjs-node.
 *
 * @param path the directory; for loading, the path of its `model.json` will do as well
 * @throws ModelFileError (its methods) when files are missing, do not belong together, or cannot be read or written
 */
export function fileSystem(path: string): tf.io.IOHandler {
  const absolutePath = resolve(path);
  return {
    save: artifacts => saveModel(absolutePath, artifacts),
    load: () => loadModel(absolutePath),
  };
}
