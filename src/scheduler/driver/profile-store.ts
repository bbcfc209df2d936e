/**
 * Measured times of a model's layers, to be found again: what they depend on, as plain data, and where they are kept. The
 * driver knows what is the model's and the trainer's; the machine is the store's matter.
 */
import { describeWhole, type ModelGraph } from '../../model/index.js';
import type { CompileSpec, Json, NamedFunction, StageSpec } from '../../protocol/stage-spec.js';
import type { NodeProfile } from '../../protocol/worker-api.js';

/** Every node of the model, measured for micro-batches of so many rows. */
export interface ProfiledSize {
  readonly rows: number;
  readonly units: readonly NodeProfile[];
}

/** What the times of a model's layers depend on, the machine apart. Equal facts have equal JSON. */
export interface ProfileFacts {
  readonly model: Json;
  /** Of the model's inputs, for each size of micro-batch that is measured. */
  readonly inputShapes: readonly (readonly (readonly number[])[])[];
  readonly compile: Json;
  readonly backend: string;
  readonly backendVersion: string;
  /** How many workers measure at the same time. */
  readonly workers: number;
}

export interface ProfileStore {
  /** What was measured under these facts, or `undefined`. Never rejects. */
  read(facts: ProfileFacts): Promise<readonly ProfiledSize[] | undefined>;
  /** Keeps what was measured, if it can. Never rejects. */
  write(facts: ProfileFacts, sizes: readonly ProfiledSize[]): Promise<void>;
}

/** Remembers what a trainer has measured or read itself, in front of another store where there is one. */
export class RememberedProfiles implements ProfileStore {
  readonly #known = new Map<string, readonly ProfiledSize[]>();
  readonly #store: ProfileStore | undefined;

  constructor(store?: ProfileStore) {
    this.#store = store;
  }

  async read(facts: ProfileFacts): Promise<readonly ProfiledSize[] | undefined> {
    const key = JSON.stringify(facts);
    const sizes = this.#known.get(key) ?? (await this.#store?.read(facts));
    if (sizes !== undefined) this.#known.set(key, sizes);
    return sizes;
  }

  async write(facts: ProfileFacts, sizes: readonly ProfiledSize[]): Promise<void> {
    this.#known.set(JSON.stringify(facts), sizes);
    await this.#store?.write(facts, sizes);
  }
}

/** The model as far as it decides about times: layers, shapes and calls, without the names that tfjs numbers. */
export function modelFacts(graph: ModelGraph): Json {
  const { layers, nodes, fedInputs, trainable, copies } = describeWhole(graph);
  return {
    layers: layers.map(layerFacts),
    nodes: nodes.map(({ layer, inputs, outputs }) => ({ layer, inputs, outputs })),
    inputs: fedInputs.map(({ value, dtype }) => ({ value, dtype })),
    trainable: [...trainable, ...copies].map(({ layer, weight, frozen }) => ({ layer, weight, frozen })),
  };
}

/** Losses, metrics, and the optimizer by class and flags: rates, moments and the losses' weights are numbers, which take no time. */
export function compileFacts({ optimizer, losses, metrics }: CompileSpec): Json {
  const { className, config } = optimizer;
  const flags = Object.entries(config).filter(([, value]) => typeof value !== 'number');
  const namesOf = (functions: readonly NamedFunction[]): Json =>
    functions.map(named => (typeof named === 'string' ? named : { ...named.ref }));
  return {
    optimizer: { className, config: Object.fromEntries(flags) },
    losses: namesOf(losses),
    metrics: metrics.map(namesOf),
  };
}

function layerFacts({ className, config, buildShapes, weights }: StageSpec['layers'][number]): Json {
  const names: string[] = [];
  collectNames(config, names);
  return {
    className,
    config: numbered(config, names),
    buildShapes,
    weights: weights.map(({ shape, dtype }) => ({ shape, dtype })),
  };
}

/** Names of a layer and of those nested in it, in the order of its config. */
function collectNames(config: Json, names: string[]): void {
  if (config === null || typeof config !== 'object') return;
  for (const [key, value] of Object.entries(config as Readonly<Record<string, Json>>)) {
    if (key === 'name' && typeof value === 'string' && !names.includes(value)) names.push(value);
    collectNames(value, names);
  }
}

/** Names by their number, where a layer is named and, in lists, where a nested model says which layers feed it. */
function numbered(config: Json, names: readonly string[]): Json {
  const number = (name: string): string => (names.includes(name) ? `#${names.indexOf(name)}` : name);
  if (Array.isArray(config)) {
    return (config as readonly Json[]).map(entry =>
      typeof entry === 'string' ? number(entry) : numbered(entry, names),
    );
  }
  if (config === null || typeof config !== 'object') return config;
  return Object.fromEntries(
    Object.entries(config).map(([key, value]) => [
      key,
      key === 'name' && typeof value === 'string' ? number(value) : numbered(value, names),
    ]),
  );
}
