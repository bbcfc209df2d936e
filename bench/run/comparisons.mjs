// @ts-check
/**
 * The ratios that the benchmark is for: Millrace's row of a model beside a peer's, what was asked of it, and the geometric mean.
 * A ratio is the peer's time divided by Millrace's: above 1, Millrace is faster. For a bound or a limit it is the share reached.
 */
import { MODEL_SPECS } from '../models/build.mjs';
import { geometricMean } from './statistics.mjs';
import { PLAIN_WASM_MODELS } from './systems.mjs';

/** @typedef {import('./race.mjs').Row} Row */
/** @typedef {{ system: string, backend: string, plan?: string }} Which row of a model */

/**
 * @typedef {object} Comparison
 * @property {string} title
 * @property {string} about what the peer is, in a sentence or two
 * @property {string} peer heading of its column
 * @property {Which} ours
 * @property {readonly Which[]} theirs the fastest of these counts
 * @property {'shown' | number | undefined} [mean] the geometric mean: asked at least, only shown, or left out
 * @property {number} [each] asked of every counted model at least
 * @property {readonly string[]} [eachOf] the models that it is asked of, if not of all
 * @property {boolean} [countsAll] whether the wide and the tiny model count too
 * @property {readonly string[]} [notCounted] models that are shown beside others of their kind
 * @property {boolean} [ofPlans] whether both sides are plans for the same model, so that a ratio of one plan to itself is its spread
 */

const ONE_STAGE = { system: 'millrace', backend: 'tensorflow', plan: '1-stage' };
const TWO_STAGES = { system: 'millrace', backend: 'tensorflow', plan: '2-stage' };
const TWO_REPLICAS = { system: 'millrace', backend: 'tensorflow', plan: '2-replica' };
const AUTO = { system: 'millrace', backend: 'tensorflow', plan: 'auto' };
const WASM_TWO_STAGES = { system: 'millrace', backend: 'wasm', plan: '2-stage' };
const NODE = { system: 'tfjs-node', backend: 'tensorflow' };
const NODE_ONE_THREAD = { system: 'tfjs-node-1-thread', backend: 'tensorflow' };

/** One model must not count twice: beside tfjs its own LSTM stands for both, beside PyTorch the only one that it has. */
const SECOND_LSTM = ['lstm-sigmoid'];

/** @type {readonly Comparison[]} */
export const COMPARISONS = [
  {
    title: 'Two stages and tfjs-node',
    about:
      "Plain `model.fit` on tfjs-node, with TensorFlow's default threads: what a program has before it uses Millrace.",
    peer: 'tfjs-node',
    ours: TWO_STAGES,
    theirs: [NODE],
    mean: 4,
    each: 1.8,
    notCounted: SECOND_LSTM,
  },
  {
    title: 'Two stages and PyTorch on all cores',
    about:
      "PyTorch's own layers in one process, with a thread a core. It has no hardSigmoid gates, so the LSTM is the one with sigmoid gates.",
    peer: 'torch',
    ours: TWO_STAGES,
    theirs: [{ system: 'torch', backend: 'torch' }],
    mean: 1,
    each: 0.6,
  },
  {
    title: 'Two stages and torch.distributed.pipelining',
    about:
      'Two processes of one thread each over gloo, cut where the slower half is fastest, with the best of its schedules and numbers of micro-batches.',
    peer: 'torch-pipelining',
    ours: TWO_STAGES,
    theirs: [{ system: 'torch-pipelining', backend: 'torch' }],
    mean: 'shown',
    each: 1,
  },
  {
    title: 'Two stages on wasm and plain tfjs on wasm',
    about:
      'Plain `model.fit` on the wasm backend. It lacks kernels that some models need for training: those it cannot train, and no ratio exists.',
    peer: 'tfjs-wasm',
    ours: WASM_TWO_STAGES,
    theirs: [{ system: 'tfjs-wasm', backend: 'wasm' }],
    mean: 8,
    notCounted: SECOND_LSTM,
  },
  {
    title: 'One stage and tfjs-node with one thread',
    about: 'One core each: what the fused kernels and in-place optimizers give without any pipeline.',
    peer: 'tfjs-node, one thread',
    ours: ONE_STAGE,
    theirs: [NODE_ONE_THREAD],
    mean: 2.5,
    notCounted: SECOND_LSTM,
  },
  {
    title: 'Two stages and their simulated bound',
    about:
      'The bound is the step that the schedule would have if each action always took the mean of what it took in the same minute, and messages and waiting cost nothing. The ratio is the share of it that was reached.',
    peer: 'bound',
    ours: TWO_STAGES,
    theirs: [{ system: 'simulated-bound', backend: 'tensorflow', plan: '2-stage' }],
    each: 0.9,
  },
  {
    title: 'Two stages and the limit of the machine',
    about:
      'The limit is the time of one-stage trainers, one a core and all at once, divided by their number: no bubble, no messages. The ratio is the share of it that was reached.',
    peer: 'limit',
    ours: TWO_STAGES,
    theirs: [{ system: 'limit', backend: 'tensorflow' }],
  },
  {
    title: "Two stages and PyTorch's limit",
    about:
      "PyTorch's step on one thread, divided by the number of cores: what PyTorch could reach with perfect use of them.",
    peer: 'torch limit',
    ours: TWO_STAGES,
    theirs: [{ system: 'limit', backend: 'torch' }],
  },
  {
    title: 'What `auto` chooses and the better of both tfjs-node',
    about:
      'No options at all, against plain `model.fit` with its default threads or with one thread, whichever is faster.',
    peer: 'better tfjs-node',
    ours: AUTO,
    theirs: [NODE, NODE_ONE_THREAD],
    mean: 'shown',
    each: 1,
    countsAll: true,
    notCounted: SECOND_LSTM,
  },
  {
    title: 'What `auto` chooses and PyTorch on all cores',
    about: "PyTorch's own layers in one process, with a thread a core.",
    peer: 'torch',
    ours: AUTO,
    theirs: [{ system: 'torch', backend: 'torch' }],
    mean: 1.3,
    each: 1,
    eachOf: ['mlp', 'cnn', 'ds-cnn'],
  },
  {
    title: 'What `auto` chooses and the limit of the machine',
    about: 'The same limit as above.',
    peer: 'limit',
    ours: AUTO,
    theirs: [{ system: 'limit', backend: 'tensorflow' }],
    mean: 0.9,
    notCounted: SECOND_LSTM,
  },
  {
    title: 'What `auto` chooses and its simulated bound',
    about:
      'The bound as above, of the plan that was chosen: what its actions took, without messages and waiting for them. What the limit is below that is mathematics: parts of a mini-batch that are multiplied less efficiently, weights that another core has written, gradients joined.',
    peer: 'bound',
    ours: AUTO,
    theirs: [{ system: 'simulated-bound', backend: 'tensorflow', plan: 'auto' }],
    mean: 'shown',
    notCounted: SECOND_LSTM,
  },
  {
    title: 'What `auto` chooses and the best of all plans',
    about:
      'All ways to use two workers: one stage, two stages, two replicas. The fastest of them in its own rounds counts. Where `auto` chose such a plan too, it trains by it in a process of its own, and the ratio says how much a plan differs from itself.',
    peer: 'best plan',
    ours: AUTO,
    theirs: [ONE_STAGE, TWO_STAGES, TWO_REPLICAS],
    each: 0.95,
    ofPlans: true,
  },
];

/**
 * @typedef {object} Line one model of a comparison
 * @property {string} model
 * @property {boolean} isCounted
 * @property {number | undefined} ours milliseconds a step
 * @property {number | undefined} theirs
 * @property {boolean} cannotTrain whether the peer lacks what the model needs
 * @property {boolean} isSamePlan whether the fastest of the others runs a plan like ours and is no slower or faster than rounds differ
 * @property {number | undefined} ratio
 */

/**
 * @typedef {object} Compared
 * @property {Comparison} comparison
 * @property {Line[]} lines
 * @property {number | undefined} mean of the counted models that have a ratio
 * @property {number} countedCount how many those are
 * @property {Line | undefined} least the counted model with the smallest ratio
 * @property {string[]} missing counted models that were not measured on both sides
 */

/**
 * @param {Comparison} comparison
 * @param {readonly Row[]} rows
 * @returns {Compared}
 */
export function compare(comparison, rows) {
  const lines = Object.keys(MODEL_SPECS)
    .map(model => lineOf(comparison, model, rows))
    .filter(line => line !== undefined);
  const counted = lines.filter(line => line.isCounted);
  const withRatio = counted.filter(({ ratio }) => ratio !== undefined);
  const ratios = withRatio.map(({ ratio }) => /** @type {number} */ (ratio));
  return {
    comparison,
    lines,
    mean: ratios.length === 0 ? undefined : geometricMean(ratios),
    countedCount: ratios.length,
    least: withRatio.find(({ ratio }) => ratio === Math.min(...ratios)),
    missing: counted
      .filter(({ ratio, cannotTrain }) => ratio === undefined && !cannotTrain)
      .map(({ model }) => model),
  };
}

/**
 * @param {Comparison} comparison
 * @param {string} model
 * @param {readonly Row[]} rows
 * @returns {Line | undefined} nothing when neither side was measured, or when the peer has no such model
 */
function lineOf({ ours: own, theirs: peers, notCounted, countsAll, ofPlans }, model, rows) {
  const spec = /** @type {import('../models/build.mjs').ModelSpec} */ (MODEL_SPECS[model]);
  if (peers.some(({ backend }) => spec.absentIn?.includes(backend))) return undefined;
  const ownRow = rowOf(rows, model, own);
  const peerRows = peers.map(which => rowOf(rows, model, which)).filter(row => row !== undefined);
  const fastest = peerRows.sort((a, b) => a.msPerStep.median - b.msPerStep.median)[0];
  const ours = ownRow?.msPerStep.median;
  const theirs = fastest?.msPerStep.median;
  if (ours === undefined && theirs === undefined) return undefined;
  return {
    model,
    isCounted: (countsAll === true || spec.uncounted !== true) && notCounted?.includes(model) !== true,
    ours,
    theirs,
    cannotTrain:
      theirs === undefined &&
      peers.every(({ system }) => system === 'tfjs-wasm') &&
      !PLAIN_WASM_MODELS.includes(model),
    isSamePlan:
      ofPlans === true && ownRow !== undefined && fastest !== undefined && areAlike(ownRow, fastest),
    ratio: ours === undefined || theirs === undefined ? undefined : theirs / ours,
  };
}

/**
 * @param {readonly Row[]} rows
 * @param {string} model
 * @param {Which} which
 * @returns {Row | undefined}
 */
function rowOf(rows, model, { system, backend, plan }) {
  return rows.find(
    row =>
      row.model === model &&
      row.system === system &&
      row.backend === backend &&
      (plan === undefined || row.plan === plan),
  );
}

/**
 * Whether both rows were trained by the same plan, as far as rows tell plans apart, and one's median is what a round of the other might
 * have been.
 * @param {Row} a
 * @param {Row} b
 */
function areAlike(a, b) {
  return (
    a.stages !== null &&
    a.stages === b.stages &&
    a.replicas === b.replicas &&
    a.microBatches === b.microBatches &&
    a.schedule === b.schedule &&
    (isAmong(a, b) || isAmong(b, a))
  );
}

/**
 * @param {Row} row
 * @param {Row} other
 */
function isAmong({ msPerStep: { median } }, { msPerStep: { min, max } }) {
  return median >= min && median <= max;
}
