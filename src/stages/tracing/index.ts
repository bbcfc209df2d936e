/** Layers of users' own whose calls run as graphs. */
export { traceLayers } from './traced-layer.js';
