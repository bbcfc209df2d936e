/** The `tracedLayers` option against the model. */
import { ConfigurationError } from '../errors.js';
import { insideAndItself } from '../tfjs/internals.js';
import type { ModelGraph } from './graph.js';

/** @throws ConfigurationError for a class of which the model has no layer, at any depth */
export function assertTracedLayers({ layers }: ModelGraph, classNames: readonly string[]): void {
  const present = new Set(
    layers.flatMap(({ layer }) => insideAndItself(layer)).map(part => part.getClassName()),
  );
  const absent = classNames.find(name => !present.has(name));
  if (absent === undefined) return;
  throw new ConfigurationError(
    'tracedLayers',
    `Option 'tracedLayers' names the class '${absent}', of which the model has no layer. It has layers of ` +
      `${[...present].sort().join(', ')}.`,
  );
}
