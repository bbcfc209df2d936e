/** Calls of layers and losses that run as graphs: tfjs's own, several at once, and those of users' layers that are named. */
export { findSpans, type Span } from './spans.js';
export { isTraceableLayer } from './traceable-layers.js';
export { CALLS_BEFORE_TRACE, TracedFunction } from './traced-function.js';
export { traceLayers } from './traced-layer.js';
