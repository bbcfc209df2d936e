// @ts-check
/**
 * One model, all systems: each starts from the same weights and is compared after a few steps, so that nobody times different
 * work; then they take turns, a stretch of steps each, round after round, so that whatever disturbs the machine hits all alike.
 * Systems on wasm do so afterwards, among themselves.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as tf from '@tensorflow/tfjs';
import { buildModel, MODEL_SPECS } from '../models/build.mjs';
import { makeSamples } from '../models/samples.mjs';
import { BASE_BATCHES, namedWeights, readArrays, writeTensors } from '../models/state.mjs';
import { Peer } from './peer.mjs';
import { settle, untilSteady } from './settle.mjs';
import { spread } from './statistics.mjs';
import { systemsFor } from './systems.mjs';

/** Between two stretches: threads that spin while they wait for work fall asleep. */
const PAUSE_MS = 250;
const MOST_STEPS = 1_000;
/** A fit ends with getting weights and slots back, which is not to be most of what is timed where models are large. */
const FEWEST_STEPS = 10;
/** The fewest steps are not taken where they would last longer. */
const LONG_STRETCH_MS = 2_000;
/** Plans of Millrace's whose actions are timed too, for the step that the simulator makes of them. */
const BOUNDED_PLANS = ['2-stage', 'auto'];
/** ‖difference‖ / ‖update‖ of a weight after the steps of the check: the frameworks round differently, no more. */
const CHECK_TOLERANCE = 0.02;
const PIPELINING_CHOICES = ['1f1b', 'gpipe'].flatMap(schedule =>
  [2, 4, 8].map(microBatches => ({ schedule, microBatches })),
);

/**
 * @typedef {object} Row
 * @property {string} model
 * @property {string} system
 * @property {string} backend
 * @property {string | null} plan
 * @property {number | null} stages
 * @property {number | null} replicas
 * @property {number | null} microBatches
 * @property {string | null} schedule
 * @property {number} batch
 * @property {{ median: number, min: number, max: number }} msPerStep
 * @property {number} steps timed in all
 * @property {number} [startMs] from `pipeline()` to the end of the first step
 */

/**
 * @typedef {object} RaceOptions
 * @property {readonly string[] | undefined} systems names of those to run; all by default
 * @property {number} rounds
 * @property {number} stretchMs
 * @property {(line: string) => void} say
 */

/**
 * @param {string} name of the model
 * @param {RaceOptions} options
 * @returns {Promise<Row[]>}
 */
export async function race(name, { systems: wanted, rounds, stretchMs, say }) {
  const spec = /** @type {import('../models/build.mjs').ModelSpec} */ (MODEL_SPECS[name]);
  const directory = mkdtempSync(path.join(tmpdir(), 'millrace-bench-'));
  try {
    writeStart(spec, directory);
    const systems = systemsFor(name, spec, directory).filter(
      ({ system }) => wanted?.includes(system) ?? true,
    );
    // The first group has the reference in it. Systems on wasm are compared with one another alone. All at once, large models would take more than 24 GB.
    const groups = [false, true].map(isWasm =>
      systems.filter(({ backend }) => (backend === 'wasm') === isWasm),
    );
    const rows = [];
    let firstId = 0;
    for (const group of groups) {
      rows.push(...(await raceTogether(group, { name, directory, firstId, rounds, stretchMs, say })));
      firstId += group.length;
    }
    return rows;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The first system of all, whose weights after the check are what the others' are compared with. */
const REFERENCE = 'after-0';

/**
 * @param {readonly import('./systems.mjs').System[]} systems
 * @param {Omit<RaceOptions, 'systems'> & { name: string, directory: string, firstId: number }} options
 */
async function raceTogether(systems, { name, directory, firstId, rounds, stretchMs, say }) {
  const { batch } = /** @type {import('../models/build.mjs').ModelSpec} */ (MODEL_SPECS[name]);
  /** @type {Entrant[]} */
  const entrants = [];
  try {
    for (const [index, system] of systems.entries()) {
      const entrant = new Entrant(system, name, batch);
      entrants.push(entrant);
      const as = `after-${firstId + index}`;
      try {
        await entrant.peer.ask('check', { as });
        assertSameWork(directory, as, as === REFERENCE ? undefined : REFERENCE);
        await entrant.warmUp(stretchMs);
        say(`  ${entrant.label}: ready, ${entrant.steps} steps a stretch`);
      } catch (error) {
        say(`  ${entrant.label}: left out: ${/** @type {Error} */ (error).message}`);
        entrants.pop();
        await entrant.end();
      }
    }
    for (let round = 0; round < rounds; round++) {
      for (const entrant of entrants) {
        await sleep(PAUSE_MS);
        await entrant.runStretch();
      }
    }
    return (await Promise.all(entrants.map(entrant => entrant.rows()))).flat();
  } finally {
    await Promise.all(entrants.map(entrant => entrant.end()));
  }
}

/**
 * Steps of a stretch.
 * @param {number} stretchMs
 * @param {number} ms of a step
 */
function stepsFor(stretchMs, ms) {
  const fewest = Math.min(FEWEST_STEPS, Math.round(LONG_STRETCH_MS / ms));
  return Math.max(1, fewest, Math.min(MOST_STEPS, Math.round(stretchMs / ms)));
}

/** One system in the race. */
class Entrant {
  steps = 1;
  peer;
  #system;
  #model;
  #batch;
  /** @type {number[]} */
  #times = [];
  /** @type {number[]} */
  #bounds = [];
  /** Of `torch-pipelining`, once the best is known. */
  /** @type {{ schedule: string, microBatches: number } | undefined} */
  #choice;

  /**
   * @param {import('./systems.mjs').System} system
   * @param {string} model
   * @param {number} batch
   */
  constructor(system, model, batch) {
    this.#system = system;
    this.#model = model;
    this.#batch = batch;
    this.peer = new Peer(system.command, system.args, system.env);
  }

  get label() {
    const { system, backend, plan } = this.#system;
    return [system, backend, plan].filter(part => part !== null).join(' ');
  }

  /** @param {number} stretchMs */
  async warmUp(stretchMs) {
    if (this.#system.kind === 'pipelining') await this.#choose();
    await this.#msPerStep(1);
    const once = await this.#msPerStep(2);
    const few = Math.max(2, Math.min(50, Math.round(stretchMs / 4 / once)));
    this.steps = stepsFor(stretchMs, Math.min(once, await this.#msPerStep(few)));
    if (this.#system.plan === 'auto') {
      await settle(
        async () => (await this.peer.ask('describe')).isSettled,
        () => this.#msPerStep(this.steps),
      );
    }
    this.steps = stepsFor(stretchMs, await untilSteady(() => this.#msPerStep(this.steps)));
  }

  /** The best of both schedules and several numbers of micro-batches, as their user would find it. */
  async #choose() {
    /** @type {{ ms: number, choice: typeof PIPELINING_CHOICES[number] }[]} */
    const tried = [];
    for (const choice of PIPELINING_CHOICES) {
      this.#choice = choice;
      await this.#msPerStep(2);
      const ms = Math.min(await this.#msPerStep(4), await this.#msPerStep(4));
      tried.push({ ms, choice });
    }
    tried.sort((a, b) => a.ms - b.ms);
    this.#choice = tried[0]?.choice;
  }

  /** @param {number} steps */
  async #msPerStep(steps) {
    const { ms } = await this.peer.ask('time', { steps, ...this.#choice });
    return ms / steps;
  }

  /**
   * The same steps twice, of which the second time counts. While the others have their turns a process waits for 20 s and more, and finds
   * cold caches, given back memory and, after garbage collections in idle time, less compiled code: two replicas of the DS-CNN take 28 ms
   * a step in the first quarter of a second afterwards, 23 in the next. Training goes on without such waits. As many steps, so that
   * the samples for them are there: an MLP's fill 60 MB.
   */
  async runStretch() {
    await this.#msPerStep(this.steps);
    this.#times.push((await this.#msPerStep(this.steps)) / this.#system.divisor);
    if (!BOUNDED_PLANS.includes(this.#system.plan ?? '')) return;
    // Costs of the very same minute; looking at every action takes the main thread's time, so not while it is timed.
    const { ms } = await this.peer.ask('bound', { steps: Math.max(3, Math.round(this.steps / 2)) });
    this.#bounds.push(ms);
  }

  /** @returns {Promise<Row[]>} */
  async rows() {
    const { system, backend, plan, kind } = this.#system;
    const described = kind === 'millrace' ? await this.peer.ask('describe') : undefined;
    const row = {
      model: this.#model,
      system,
      backend,
      plan,
      stages: described?.plan.stages ?? (kind === 'pipelining' ? 2 : null),
      replicas: described?.plan.replicas ?? null,
      microBatches: described?.plan.microBatches ?? this.#choice?.microBatches ?? null,
      schedule: described?.plan.schedule ?? this.#choice?.schedule ?? null,
      batch: this.#batch,
      msPerStep: spread(this.#times),
      steps: this.#times.length * this.steps,
      ...(described === undefined ? {} : { startMs: described.startMs }),
    };
    if (this.#bounds.length === 0) return [row];
    return [row, { ...row, system: 'simulated-bound', msPerStep: spread(this.#bounds) }];
  }

  async end() {
    if (this.#system.kind === 'millrace') await this.peer.ask('close').catch(() => {});
    await this.peer.end();
  }
}

/**
 * First weights and samples, for everybody.
 * @param {import('../models/build.mjs').ModelSpec} spec
 * @param {string} directory
 */
function writeStart(spec, directory) {
  const model = buildModel(spec);
  writeTensors(directory, 'weights', namedWeights(model));
  const { x, y } = makeSamples(spec, BASE_BATCHES);
  writeTensors(directory, 'samples', [
    { name: 'x', tensor: x },
    { name: 'y', tensor: y },
  ]);
  tf.dispose([x, y]);
  model.dispose();
}

/**
 * @param {string} directory
 * @param {string} own
 * @param {string | undefined} reference
 */
function assertSameWork(directory, own, reference) {
  if (reference === undefined) return;
  const first = readArrays(directory, 'weights');
  const theirs = readArrays(directory, reference);
  for (const [name, { values }] of readArrays(directory, own)) {
    const before = /** @type {{ values: Float32Array }} */ (first.get(name)).values;
    const other = /** @type {{ values: Float32Array }} */ (theirs.get(name)).values;
    const update = norm(other.map((value, index) => value - /** @type {number} */ (before[index])));
    const difference = norm(other.map((value, index) => value - /** @type {number} */ (values[index])));
    // What hardly moves is rounding: a bias before batch norm has a gradient of zero.
    if (difference > CHECK_TOLERANCE * update + 1e-5 * Math.sqrt(values.length)) {
      throw new Error(
        `weight ${name} differs after the first steps by ${difference.toExponential(1)} where it moved by ${update.toExponential(1)}`,
      );
    }
  }
}

/** @param {Float32Array} values */
function norm(values) {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
}
