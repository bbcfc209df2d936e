/** Random layers whose numbers depend on seed, step, layer and sample, and on nothing else. */
export { RandomContext, useCounterRandom } from './layers.js';
