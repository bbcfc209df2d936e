/** The switch for all that Millrace computes in other kernels than tfjs's: fused layers and in-place optimizers. */

/** Set to 0 to train with tfjs's own kernels and optimizers alone. */
export const FUSION_VARIABLE = 'MILLRACE_FUSED';

export function isFusionOn(): boolean {
  return process.env[FUSION_VARIABLE] !== '0';
}
