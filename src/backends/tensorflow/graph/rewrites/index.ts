/** Recorded computations in ops that compute the same in less time. */
import { hasKernels } from '../../kernels.js';
import { fuseAttention } from './attention.js';
import { joinBiases, sumRows } from './dense.js';
import { type Computation, Rewriting } from './rewriting.js';

export type { Computation } from './rewriting.js';

/** @returns `undefined` where nothing of it is known in other ops */
export function rewritten(computation: Computation): Computation | undefined {
  const rewriting = new Rewriting(computation);
  joinBiases(rewriting);
  sumRows(rewriting);
  if (hasKernels()) fuseAttention(rewriting);
  return rewriting.finish();
}
