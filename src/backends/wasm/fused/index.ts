/** The fused operations of the WebAssembly backend. Importing this registers their kernels and gradients with tfjs. */
import type { FusedOperations } from '../../fused-operations.js';
import { gru } from './gru.js';
import { lstm } from './lstm.js';

export const fusedOperations: Partial<FusedOperations> = { lstm, gru };
