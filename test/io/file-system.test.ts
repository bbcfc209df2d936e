import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { fileSystem, MillraceError, ModelFileError } from 'millrace';
import { describe, expect, it } from 'vitest';
import { createModel, MODEL_WEIGHT_BYTES, readJson, temporaryDirectory, weightValues } from './support.js';

/** Saves a model and returns the directory. */
async function savedModel(): Promise<string> {
  const directory = await temporaryDirectory();
  await createModel().save(fileSystem(directory));
  return directory;
}

async function loadFailure(path: string): Promise<ModelFileError> {
  const error = await fileSystem(path).load!().catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(ModelFileError);
  expect(error).toBeInstanceOf(MillraceError);
  expect(error).toMatchObject({ name: 'ModelFileError', code: 'MILLRACE_MODEL_FILE' });
  return error as ModelFileError;
}

describe('saving', () => {
  it('writes model.json and weights.bin, and nothing else', async () => {
    const directory = await savedModel();
    expect((await readdir(directory)).sort()).toEqual(['model.json', 'weights.bin']);
    expect((await readFile(join(directory, 'weights.bin'))).byteLength).toBe(MODEL_WEIGHT_BYTES);
  });

  it('makes the directories that are missing', async () => {
    const directory = join(await temporaryDirectory(), 'a', 'b c');
    await createModel().save(fileSystem(directory));
    expect(existsSync(join(directory, 'model.json'))).toBe(true);
  });

  it('tells the date and the sizes, as tfjs does', async () => {
    const { modelArtifactsInfo } = await createModel().save(fileSystem(await temporaryDirectory()));
    expect(modelArtifactsInfo).toMatchObject({
      modelTopologyType: 'JSON',
      weightDataBytes: MODEL_WEIGHT_BYTES,
    });
    expect(modelArtifactsInfo.dateSaved).toBeInstanceOf(Date);
  });

  it('replaces a model that was there before', async () => {
    const directory = await savedModel();
    const model = createModel();
    await model.save(fileSystem(directory));
    expect(weightValues(await tf.loadLayersModel(fileSystem(directory)))).toEqual(weightValues(model));
  });

  it('leaves the old model and no rubbish when the new one cannot be written', async () => {
    const directory = await temporaryDirectory();
    await mkdir(join(directory, 'weights.bin', 'in the way'), { recursive: true });
    await writeFile(join(directory, 'model.json'), 'old');
    await expect(createModel().save(fileSystem(directory))).rejects.toMatchObject({
      name: 'ModelFileError',
      problem: 'file-system',
      path: directory,
    });
    expect((await readdir(directory)).sort()).toEqual(['model.json', 'weights.bin']);
    expect(await readFile(join(directory, 'model.json'), 'utf8')).toBe('old');
  });

  it('writes weights that come in several buffers', async () => {
    const directory = await temporaryDirectory();
    await createModel().save(
      tf.io.withSaveHandler(artifacts => {
        const data = artifacts.weightData as ArrayBuffer;
        return fileSystem(directory).save!({
          ...artifacts,
          weightData: [data.slice(0, 10), data.slice(10)],
        });
      }),
    );
    expect((await readFile(join(directory, 'weights.bin'))).byteLength).toBe(MODEL_WEIGHT_BYTES);
    await expect(tf.loadLayersModel(fileSystem(directory))).resolves.toBeDefined();
  });

  it('refuses a path where a file is', async () => {
    const path = join(await temporaryDirectory(), 'file');
    await writeFile(path, '');
    await expect(createModel().save(fileSystem(path))).rejects.toMatchObject({
      name: 'ModelFileError',
      problem: 'not-a-model',
      path,
      message: expect.stringContaining('a file is in the way'),
    });
  });

  it('refuses a binary topology', async () => {
    await expect(
      fileSystem(await temporaryDirectory()).save!({ modelTopology: new ArrayBuffer(8) }),
    ).rejects.toMatchObject({ problem: 'unsupported' });
  });
});

describe('loading', () => {
  it('takes the directory as well as its model.json', async () => {
    const directory = await temporaryDirectory();
    const model = createModel();
    await model.save(fileSystem(directory));
    for (const path of [directory, join(directory, 'model.json')]) {
      expect(weightValues(await tf.loadLayersModel(fileSystem(path)))).toEqual(weightValues(model));
    }
  });

  it('keeps how the model was compiled and the weights of its optimizer', async () => {
    const directory = await temporaryDirectory();
    const model = createModel();
    await model.trainOnBatch(tf.ones([2, 3]), tf.ones([2, 2]));
    await model.save(fileSystem(directory), { includeOptimizer: true });
    expect((await readFile(join(directory, 'weights.bin'))).byteLength).toBeGreaterThan(MODEL_WEIGHT_BYTES);
    const loaded = await tf.loadLayersModel(fileSystem(directory));
    expect(loaded.optimizer.getClassName()).toBe('Adam');
    const [expected, actual] = await Promise.all([
      model.optimizer.getWeights(),
      loaded.optimizer.getWeights(),
    ]);
    expect(actual.map(({ name, tensor }) => [name, [...tensor.dataSync()]])).toEqual(
      expected.map(({ name, tensor }) => [name, [...tensor.dataSync()]]),
    );
  });

  it('keeps the metadata of the user', async () => {
    const directory = await temporaryDirectory();
    const model = createModel();
    model.setUserDefinedMetadata({ labels: ['left', 'right'] });
    await model.save(fileSystem(directory));
    const loaded = await tf.loadLayersModel(fileSystem(directory));
    expect(loaded.getUserDefinedMetadata()).toEqual({ labels: ['left', 'right'] });
  });

  it('reads the shards of a weight group in their order', async () => {
    const directory = await temporaryDirectory();
    const model = createModel();
    await model.save(fileSystem(directory));
    const bytes = await readFile(join(directory, 'weights.bin'));
    const shards = [bytes.subarray(0, 5), bytes.subarray(5, 70), bytes.subarray(70)];
    const paths = shards.map((_, index) => `group1-shard${index + 1}of3.bin`);
    for (const [index, shard] of shards.entries()) await writeFile(join(directory, paths[index]!), shard);
    await rm(join(directory, 'weights.bin'));
    await editModelJson(directory, json => {
      (json['weightsManifest'] as { paths: string[] }[])[0]!.paths = paths;
    });
    expect(weightValues(await tf.loadLayersModel(fileSystem(directory)))).toEqual(weightValues(model));
  });

  it('reads the groups of a manifest in their order', async () => {
    const directory = await temporaryDirectory();
    const model = createModel();
    await model.save(fileSystem(directory));
    const bytes = await readFile(join(directory, 'weights.bin'));
    const firstLayerBytes = 64;
    await writeFile(join(directory, 'first.bin'), bytes.subarray(0, firstLayerBytes));
    await writeFile(join(directory, 'second.bin'), bytes.subarray(firstLayerBytes));
    await editModelJson(directory, json => {
      const [{ weights }] = json['weightsManifest'] as [{ weights: unknown[] }];
      json['weightsManifest'] = [
        { paths: ['first.bin'], weights: weights.slice(0, 2) },
        { paths: ['second.bin'], weights: weights.slice(2) },
      ];
    });
    expect(weightValues(await tf.loadLayersModel(fileSystem(directory)))).toEqual(weightValues(model));
  });

  it('reads quantized weights', async () => {
    const directory = await temporaryDirectory();
    await createModel().save(fileSystem(directory));
    const quantization = { dtype: 'uint8', scale: 0.5, min: 1 };
    await editModelJson(directory, json => {
      const [{ weights }] = json['weightsManifest'] as [{ weights: object[] }];
      for (const weight of weights) Object.assign(weight, { quantization });
    });
    await writeFile(join(directory, 'weights.bin'), Buffer.alloc(MODEL_WEIGHT_BYTES / 4, 6));
    const values = weightValues(await tf.loadLayersModel(fileSystem(directory))).flat();
    expect(new Set(values)).toEqual(new Set([4]));
  });
});

describe('a model that cannot be loaded', () => {
  it('does not exist', async () => {
    const path = join(await temporaryDirectory(), 'nowhere', 'model.json');
    const error = await loadFailure(path);
    expect(error).toMatchObject({ problem: 'missing', path });
    expect(error.message).toBe(`There is no model at '${path}': the path does not exist.`);
    expect(error.cause).toMatchObject({ code: 'ENOENT' });
  });

  it('is a directory without a model.json', async () => {
    const directory = await temporaryDirectory();
    const error = await loadFailure(directory);
    expect(error).toMatchObject({ problem: 'not-a-model', path: join(directory, 'model.json') });
    expect(error.message).toContain(`'${directory}' holds no model.json`);
  });

  it.each([
    ['', 'it is not JSON'],
    ['{"modelTopology": {', 'it is not JSON'],
    ['[]', 'it does not hold an object'],
    ['{"weightsManifest": []}', "it has no 'modelTopology'"],
    [
      '{"modelTopology": {}, "weightsManifest": [{"paths": "weights.bin"}]}',
      "'weightsManifest' is not a list",
    ],
  ])('has a model.json that reads %j', async (text, what) => {
    const directory = await temporaryDirectory();
    await writeFile(join(directory, 'model.json'), text);
    const error = await loadFailure(directory);
    expect(error).toMatchObject({ problem: 'malformed', path: join(directory, 'model.json') });
    expect(error.message).toContain(what);
  });

  it('lacks a weight file', async () => {
    const directory = await savedModel();
    await rm(join(directory, 'weights.bin'));
    const error = await loadFailure(directory);
    expect(error).toMatchObject({ problem: 'missing-weights', path: join(directory, 'weights.bin') });
    expect(error.message).toContain(join(directory, 'model.json'));
  });

  it.each([MODEL_WEIGHT_BYTES - 1, MODEL_WEIGHT_BYTES + 4, 0])(
    'has a weight file of %d bytes where 104 belong',
    async byteLength => {
      const directory = await savedModel();
      await writeFile(join(directory, 'weights.bin'), Buffer.alloc(byteLength));
      const error = await loadFailure(directory);
      expect(error).toMatchObject({ problem: 'wrong-size', path: join(directory, 'weights.bin') });
      expect(error.message).toContain(`take 104 bytes, but 'weights.bin' holds ${byteLength}`);
    },
  );

  it('has a directory in the place of a weight file', async () => {
    const directory = await savedModel();
    await rm(join(directory, 'weights.bin'));
    await mkdir(join(directory, 'weights.bin'));
    const error = await loadFailure(directory);
    expect(error).toMatchObject({ problem: 'file-system', cause: { code: 'EISDIR' } });
  });
});

async function editModelJson(
  directory: string,
  edit: (json: Record<string, unknown>) => void,
): Promise<void> {
  const path = join(directory, 'model.json');
  const json = await readJson(path);
  edit(json);
  await writeFile(path, JSON.stringify(json));
}
