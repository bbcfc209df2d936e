/** Registering fused kernels of the TensorFlow backend. */
import { type FusedKernel, registerFused } from '../../register-fused.js';

export { sharing } from '../../register-fused.js';

export function register<Attributes extends object>(
  kernel: Omit<FusedKernel<Attributes>, 'backend'>,
): ReturnType<typeof registerFused<Attributes>> {
  return registerFused({ ...kernel, backend: 'tensorflow' });
}
