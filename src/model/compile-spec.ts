/** What `model.compile` was given, as plain data: names where tfjs has them, references to exported functions else. */

import { ModelError } from '../errors.js';
import type { CompileSpec, Json, NamedFunction } from '../protocol/stage-spec.js';
import { tf } from '../tf.js';
import { compiled, isCompiled, isRegisteredClass } from '../tfjs/internals.js';

/** Functions that workers can import, by identity: exports of tfjs and of `setup` modules. */
export type FunctionLocator = ReadonlyMap<unknown, { readonly module: string; readonly name: string }>;

/** Finds functions in tfjs's namespaces and in the exports of the given modules. */
export function functionLocator(
  modules: ReadonlyMap<string, Readonly<Record<string, unknown>>>,
): FunctionLocator {
  const located = new Map<unknown, { module: string; name: string }>();
  const namespaces: [string, object][] = [['tf.losses', tf.losses], ['tf.metrics', tf.metrics], ...modules];
  for (const [module, exports] of namespaces) {
    for (const [name, value] of Object.entries(exports)) {
      if (typeof value === 'function' && !located.has(value)) located.set(value, { module, name });
    }
  }
  return located;
}

export function assertCompiled(model: tf.LayersModel): void {
  if (isCompiled(model)) return;
  throw new ModelError(
    `The model '${model.name}' is not compiled: training needs an optimizer and a loss. ` +
      "Call model.compile({ optimizer: 'adam', loss: 'categoricalCrossentropy' }) before pipeline(model).",
  );
}

/** @param lossWeights what each output's loss counts in the total, in the model's order; all the same without it */
export function compileSpec(
  model: tf.LayersModel,
  locator: FunctionLocator,
  lossWeights: readonly number[] = model.outputs.map(() => 1),
): CompileSpec {
  assertCompiled(model);
  const { optimizer_, metrics, outputNames } = compiled(model);
  const optimizer = optimizer_!;
  const className = optimizer.getClassName();
  if (!isRegisteredClass(className)) {
    throw new ModelError(
      `The optimizer has the class '${className}', which is not registered with tfjs, so workers cannot rebuild it. ` +
        'Call tf.serialization.registerClass() in a module of its own and name that module in the `setup` option.',
    );
  }
  const describe = (value: unknown, path: string): NamedFunction => {
    if (typeof value === 'string') return value;
    const ref = locator.get(value);
    if (ref !== undefined) return { ref };
    throw new ModelError(
      `The ${path} is a function that workers cannot find. Export it from a module of its own and name that module in ` +
        "the `setup` option, such as pipeline(model, { setup: ['./losses.js'] }).",
    );
  };
  return {
    optimizer: {
      className,
      config: JSON.parse(JSON.stringify(optimizer.getConfig())) as { [key: string]: Json },
    },
    losses: lossesPerOutput(model).map((value, index) =>
      describe(value, `loss of output '${outputNames[index]}'`),
    ),
    lossWeights,
    metrics: metricsPerOutput(metrics, outputNames).map((list, index) =>
      list.map(value => describe(value, `metric of output '${outputNames[index]}'`)),
    ),
    outputs: model.outputs.map((output, index) => ({ name: outputNames[index]!, shape: output.shape })),
  };
}

/** What `compile` was given as the loss of each output: names or functions. */
export function lossesPerOutput(model: tf.LayersModel): unknown[] {
  const { loss, outputNames } = compiled(model);
  if (Array.isArray(loss)) return loss;
  if (typeof loss === 'object' && loss !== null) {
    return outputNames.map(name => (loss as Record<string, unknown>)[name]);
  }
  return outputNames.map(() => loss);
}

/** As tfjs collects them: a list goes to every output, a dictionary by name. */
function metricsPerOutput(metrics: unknown, outputNames: readonly string[]): unknown[][] {
  if (metrics === undefined || metrics === null) return outputNames.map(() => []);
  if (Array.isArray(metrics)) return outputNames.map(() => metrics);
  if (typeof metrics === 'object') {
    return outputNames.map(name => {
      const found = (metrics as Record<string, unknown>)[name];
      if (found === undefined) return [];
      return Array.isArray(found) ? found : [found];
    });
  }
  return outputNames.map(() => [metrics]);
}
