// @ts-check
/** Plain tfjs, `model.fit`: on tfjs-node (`node`) or on its wasm backend (`wasm`). */
import { createRequire } from 'node:module';
import * as tf from '@tensorflow/tfjs';
import { serve } from './serve.mjs';
import { check, prepareModel, TimedFit } from './tfjs-job.mjs';

const [engine, name = '', directory = ''] = process.argv.slice(2);
tf.enableProdMode();
createRequire(import.meta.url)(engine === 'node' ? '@tensorflow/tfjs-node' : '@tensorflow/tfjs-backend-wasm');
await tf.setBackend(engine === 'node' ? 'tensorflow' : 'wasm');

/** @type {{ model: tf.LayersModel, timed: TimedFit } | undefined} */
let ready;

await serve({
  async check({ as }) {
    const prepared = prepareModel(name, directory, 'sgd');
    await check(directory, as, prepared, (x, y, args) => prepared.model.fit(x, y, { ...args, verbose: 0 }));
    return {};
  },
  async time({ steps }) {
    if (ready === undefined) {
      const { model, batchSize } = prepareModel(name, directory, 'adam');
      ready = { model, timed: new TimedFit(directory, batchSize) };
    }
    const { model, timed } = ready;
    return { ms: await timed.run(steps, (x, y, args) => model.fit(x, y, { ...args, verbose: 0 })) };
  },
});
