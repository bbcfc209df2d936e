/** What a worker does to a rebuilt layer so that it computes the same faster. */
import type { Backend } from '../backends/index.js';
import type { Layer } from '../tfjs/internals.js';
import { foldTime } from './fold-time.js';
import { lowerLayer } from './lowering/index.js';
import { traceLayers } from './tracing/index.js';

/** @param tracedLayers classes of layers whose calls may run as graphs */
export function adaptLayer(layer: Layer, backend: Backend, tracedLayers: readonly string[]): void {
  foldTime(layer);
  // First the layers inside, whose fused kernels are then part of the graphs.
  const operations = backend.fused?.operations;
  if (operations !== undefined) lowerLayer(layer, operations);
  traceLayers(layer, backend, tracedLayers);
}
