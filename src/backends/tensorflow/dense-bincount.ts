/** The one kernel of tfjs's layers that tfjs-node 4.22 lacks: `CategoryEncoding` counts with it. TensorFlow has the op. */
import { tf } from '../../tf.js';
import { rawOps } from './raw-ops.js';

const KERNEL = { kernelName: 'DenseBincount', backendName: 'tensorflow' } as const;

/** Registers it in this thread, before or after tfjs-node is loaded, unless somebody else has. */
export function registerDenseBincount(): void {
  if ((tf.getKernel(KERNEL.kernelName, KERNEL.backendName) ?? undefined) !== undefined) return;
  tf.registerKernel({
    ...KERNEL,
    kernelFunc: ({ inputs, attrs }) => {
      const { x, weights } = inputs as unknown as { x: tf.TensorInfo; weights: tf.TensorInfo };
      const { size, binaryOutput } = attrs as unknown as { size: number; binaryOutput: boolean };
      const raw = rawOps();
      const bins = tf.scalar(size, 'int32');
      try {
        return raw.one(
          'DenseBincount',
          [raw.type('Tidx', 'int32'), raw.type('T'), raw.bool('binary_output', binaryOutput)],
          x,
          bins,
          weights,
        );
      } finally {
        bins.dispose();
      }
    },
  });
}
