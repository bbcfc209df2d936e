/** The public face, name by name: what is missing breaks users, and what is there by accident is there for ever. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as millrace from 'millrace';
import type ts from 'typescript';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  isValue,
  type PublicFace,
  reachableAny,
  readPublicFace,
  undocumentedSettings,
} from './public-face.js';

const VALUES = [
  'BackendError',
  'ConfigurationError',
  'MillraceError',
  'ModelError',
  'ModelFileError',
  'PipelinedModel',
  'StageError',
  'StateError',
  'Timeline',
  'TrainingAbortedError',
  'fileSystem',
  'formatPlan',
  'formatProfile',
  'parallel',
  'pipeline',
  'showProgress',
  'tensorBoard',
];

const TYPES = [
  'Action',
  'ActionKind',
  'ActionRecord',
  'BackendName',
  'BatchArgs',
  'Batches',
  'CallCost',
  'CancelledTrial',
  'CandidatePlan',
  'ChromeTrace',
  'ChromeTraceEvent',
  'CommunicationAction',
  'Compared',
  'CompletedTrial',
  'ComputeAction',
  'DatasetBatch',
  'DatasetIterator',
  'DatasetLike',
  'DatasetTrial',
  'EvaluateArgs',
  'EvaluateDatasetArgs',
  'ExchangeAction',
  'ExchangePass',
  'FailedTrial',
  'FitArgs',
  'FitDatasetArgs',
  'LayerProfile',
  'LearningRateQuery',
  'LearningRateSchedule',
  'MessageAction',
  'MicroBatchPass',
  'MicroBatchProfile',
  'ModelFileProblem',
  'ModelProfile',
  'ParallelOptions',
  'Pass',
  'Peer',
  'PipelineOptions',
  'Plan',
  'PlanCosts',
  'PredictedTimeline',
  'Prediction',
  'ProgressOptions',
  'RecomputeAction',
  'SavedPlan',
  'Schedule',
  'StageCost',
  'StagePlan',
  'StepAction',
  'TensorBoardOptions',
  'TensorTrial',
  'TimelineComparison',
  'TimelineRun',
  'TimelineStep',
  'TrainOnBatchArgs',
  'TrainerEvent',
  'Trial',
  'TrialFitArgs',
  'TrialFitDatasetArgs',
  'TrialResult',
  'TrialTensors',
  'Trials',
  'UserCallbacks',
  'UserClassWeights',
  'UserDataset',
  'UserSampleWeights',
  'UserTensors',
  'ValidationTensors',
  'WarningEvent',
  'WarningPlace',
  'WorkerPrediction',
];

let face: PublicFace;
beforeAll(() => {
  face = readPublicFace();
});

describe('the exports', () => {
  const named = (wanted: (symbol: ts.Symbol) => boolean) =>
    [...face.exports].filter(([, symbol]) => wanted(symbol)).map(([name]) => name);

  it('are these values, declared and there when the program runs', () => {
    expect(named(isValue).sort()).toEqual(VALUES);
    expect(Object.keys(millrace).sort()).toEqual(VALUES);
    expect(Object.keys(createRequire(import.meta.url)('millrace')).sort()).toEqual(VALUES);
  });

  it('are these types', () => {
    expect(named(symbol => !isValue(symbol)).sort()).toEqual(TYPES);
  });
});

describe('the types', () => {
  it('hold no `any` that a user can reach', () => {
    expect(reachableAny(face)).toEqual([]);
  });

  it('would show an `any` wherever it hid', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'millrace-types-'));
    const entry = join(directory, 'index.d.ts');
    await writeFile(
      entry,
      `export declare function direct(options: { deep?: { list: readonly any[] } }): Promise<void>;
       export type Mapped = Record<string, any>;
       export declare class Held { method(): Map<string, Set<any>>; }
       export type Fine = { unknown: unknown; never: never };`,
    );
    try {
      expect(reachableAny(readPublicFace(entry), directory)).toEqual([
        'direct():options.deep.list<0>',
        'Mapped[]',
        'Held() result.method() result<1><0>',
      ]);
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  it('say of every setting what it means', () => {
    expect(undocumentedSettings(face)).toEqual([]);
  });
});
