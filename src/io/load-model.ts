/** Reading a model from `model.json` and the weight files that it names, with a clear word on whatever is wrong with them. */
import { readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { tf } from '../tf.js';
import { fileSystemCode, ModelFileError } from './errors.js';
import { MODEL_FILE } from './save-model.js';
import { weightBytes } from './weight-bytes.js';

/** @param path a `model.json`, whatever its name, or the directory that holds it */
export async function loadModel(path: string): Promise<tf.io.ModelArtifacts> {
  const modelPath = await findModelJson(path);
  const json = parseModelJson(modelPath, await readModelJson(modelPath));
  return tf.io.getModelArtifactsForJSON(json, manifest => readWeights(modelPath, manifest));
}

async function findModelJson(path: string): Promise<string> {
  let isDirectory: boolean;
  try {
    isDirectory = (await stat(path)).isDirectory();
  } catch (error) {
    throw fileSystemCode(error) === 'ENOENT'
      ? new ModelFileError('missing', path, `There is no model at '${path}': the path does not exist.`, {
          cause: error,
        })
      : unreadable(path, error);
  }
  return isDirectory ? join(path, MODEL_FILE) : path;
}

async function readModelJson(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    // That the path itself exists was seen before, so this is the directory's.
    throw fileSystemCode(error) === 'ENOENT'
      ? new ModelFileError(
          'not-a-model',
          path,
          `The directory '${dirname(path)}' holds no ${MODEL_FILE}, so it is not a saved model.`,
          { cause: error },
        )
      : unreadable(path, error);
  }
}

function parseModelJson(path: string, text: string): tf.io.ModelJSON {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw malformed(path, `it is not JSON (${(error as Error).message})`, error);
  }
  if (!isObject(json)) throw malformed(path, 'it does not hold an object');
  if (!isObject(json['modelTopology'])) throw malformed(path, "it has no 'modelTopology'");
  const manifest = json['weightsManifest'];
  if (manifest !== undefined && !isManifest(manifest)) {
    throw malformed(path, "its 'weightsManifest' is not a list of groups with 'paths' and 'weights'");
  }
  return json as unknown as tf.io.ModelJSON;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isManifest(value: unknown): value is tf.io.WeightsManifestConfig {
  return (
    Array.isArray(value) &&
    value.every(
      group =>
        isObject(group) &&
        Array.isArray(group['paths']) &&
        group['paths'].every(path => typeof path === 'string') &&
        Array.isArray(group['weights']) &&
        group['weights'].every(
          weight => isObject(weight) && Array.isArray(weight['shape']) && typeof weight['dtype'] === 'string',
        ),
    )
  );
}

async function readWeights(
  modelPath: string,
  manifest: tf.io.WeightsManifestConfig,
): Promise<[tf.io.WeightsManifestEntry[], ArrayBuffer]> {
  const shards: Buffer[] = [];
  for (const { paths, weights } of manifest) {
    const group: Buffer[] = [];
    for (const path of paths) group.push(await readShard(modelPath, join(dirname(modelPath), path)));
    checkSize(modelPath, paths, weights, group);
    shards.push(...group);
  }
  return [manifest.flatMap(({ weights }) => weights), joined(shards)];
}

async function readShard(modelPath: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw fileSystemCode(error) === 'ENOENT'
      ? new ModelFileError(
          'missing-weights',
          path,
          `The weight file '${path}', which '${modelPath}' names, does not exist.`,
          { cause: error },
        )
      : unreadable(path, error);
  }
}

/** A file that was cut short or belongs to another model would otherwise load as wrong weights, or fail far from here. */
function checkSize(
  modelPath: string,
  paths: readonly string[],
  weights: readonly tf.io.WeightsManifestEntry[],
  shards: readonly Buffer[],
): void {
  const expectedBytes = weightBytes(weights);
  const actualBytes = shards.reduce((sum, { byteLength }) => sum + byteLength, 0);
  if (expectedBytes === undefined || expectedBytes === actualBytes) return;
  const files = paths.map(path => `'${path}'`).join(', ');
  throw new ModelFileError(
    'wrong-size',
    join(dirname(modelPath), paths[0] ?? ''),
    `'${modelPath}' says that its weights take ${expectedBytes} bytes, but ${files || 'no file'} ` +
      `${paths.length > 1 ? 'hold' : 'holds'} ${actualBytes}: the files do not belong together, or one is incomplete.`,
  );
}

/** A buffer of its own: Node's small ones share one, and tfjs looks at the whole. */
function joined(shards: readonly Buffer[]): ArrayBuffer {
  const bytes = new Uint8Array(shards.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let offset = 0;
  for (const shard of shards) {
    bytes.set(shard, offset);
    offset += shard.byteLength;
  }
  return bytes.buffer;
}

function malformed(path: string, what: string, cause?: unknown): ModelFileError {
  return new ModelFileError('malformed', path, `'${path}' is not the JSON of a model: ${what}.`, { cause });
}

function unreadable(path: string, error: unknown): ModelFileError {
  return new ModelFileError('file-system', path, `'${path}' cannot be read: ${(error as Error).message}`, {
    cause: error,
  });
}
