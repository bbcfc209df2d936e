/** Whether the samples of a mini-batch may be shared out among replicas without changing what is trained. */
import { ConfigurationError } from '../../errors.js';
import type { ModelGraph, SampleCoupling } from '../../model/index.js';
import { isStateful } from '../../tfjs/internals.js';
import { findLayer } from './find-layer.js';

/** What keeps the samples of a mini-batch together, in words; `undefined` where nothing does. */
export function obstacleToReplicas(
  graph: ModelGraph,
  { mixing, moving }: SampleCoupling,
): string | undefined {
  if (mixing !== undefined) {
    return `${mixing} gives other numbers for a whole mini-batch than for its parts, which would train something else than plain fit()`;
  }
  if (moving !== undefined) {
    return `${moving} changes weights of its own while it is trained, and would do so by other samples in each replica`;
  }
  const stateful = findLayer(graph, isStateful);
  if (stateful === undefined) return undefined;
  return `layer '${stateful}' is stateful: its state is made for whole batches`;
}

/** @throws ConfigurationError where several replicas would train something else than plain fit */
export function checkReplicas(graph: ModelGraph, replicas: number, coupling: SampleCoupling): void {
  if (replicas === 1) return;
  const obstacle = obstacleToReplicas(graph, coupling);
  if (obstacle === undefined) return;
  throw new ConfigurationError(
    'replicas',
    `Option 'replicas' is ${replicas}, but ${obstacle}. Use 1, or leave it to 'auto'.`,
  );
}
