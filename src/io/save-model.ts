/** Writing a model as a directory with `model.json` and `weights.bin`, byte for byte as tfjs-node does. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { tf } from '../tf.js';
import { writeFilesAtomically } from './atomic-write.js';
import { fileSystemCode, ModelFileError } from './errors.js';

export const MODEL_FILE = 'model.json';
const WEIGHTS_FILE = 'weights.bin';

/** @param directory made if there is none, as are those that it lies in */
export async function saveModel(
  directory: string,
  artifacts: tf.io.ModelArtifacts,
): Promise<tf.io.SaveResult> {
  if (artifacts.modelTopology instanceof ArrayBuffer) {
    throw new ModelFileError(
      'unsupported',
      directory,
      `The model cannot be saved to '${directory}': its topology is binary, and only JSON can be written.`,
    );
  }
  await makeDirectory(directory);
  try {
    // The topology last: what names the weights must not come before them.
    await writeFilesAtomically([
      { path: join(directory, WEIGHTS_FILE), parts: weightParts(artifacts.weightData) },
      { path: join(directory, MODEL_FILE), parts: [Buffer.from(JSON.stringify(modelJson(artifacts)))] },
    ]);
  } catch (error) {
    throw new ModelFileError(
      'file-system',
      directory,
      `The model cannot be saved to '${directory}': ${(error as Error).message}`,
      { cause: error },
    );
  }
  return { modelArtifactsInfo: tf.io.getModelArtifactsInfoForJSON(artifacts) };
}

async function makeDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true });
  } catch (error) {
    const isFile = fileSystemCode(error) === 'EEXIST' || fileSystemCode(error) === 'ENOTDIR';
    throw new ModelFileError(
      isFile ? 'not-a-model' : 'file-system',
      directory,
      isFile
        ? `The model cannot be saved to '${directory}': a file is in the way, and a model is saved as a directory.`
        : `The directory '${directory}' for the model cannot be made: ${(error as Error).message}`,
      { cause: error },
    );
  }
}

/** The members in the order in which tfjs-node writes them. */
function modelJson(artifacts: tf.io.ModelArtifacts): object {
  const { modelTopology, weightSpecs, format, generatedBy, convertedBy } = artifacts;
  const optional = (
    ['trainingConfig', 'signature', 'userDefinedMetadata', 'modelInitializer'] as const
  ).filter(key => artifacts[key] !== undefined && artifacts[key] !== null);
  return {
    modelTopology,
    weightsManifest: [{ paths: [WEIGHTS_FILE], weights: weightSpecs }],
    format,
    generatedBy,
    convertedBy,
    ...Object.fromEntries(optional.map(key => [key, artifacts[key]])),
  };
}

/** Large models come in several buffers. */
function weightParts(data: tf.io.WeightData | undefined): Uint8Array[] {
  const buffers = data === undefined ? [] : Array.isArray(data) ? data : [data];
  return buffers.map(buffer => new Uint8Array(buffer));
}
