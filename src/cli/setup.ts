/** `millrace setup`: gets native TensorFlow for the project in the current directory. */
import { Command } from 'commander';
import { ensureKernels, ensureNativeTensorflow } from '../setup/index.js';

export function setupCommand(): Command {
  return new Command('setup')
    .description(
      "get native TensorFlow (its own install script, else a build from source) and compile Millrace's kernels",
    )
    .addHelpText(
      'after',
      '\nInstalls @tensorflow/tfjs-node when it is missing (without an entry in package.json). Can be repeated.\n' +
        'Exit code: 0 also when training falls back to wasm; 1 when MILLRACE_BACKEND=tensorflow and it cannot be had.',
    )
    .action(async () => {
      const { report } = await ensureNativeTensorflow({ installMissing: true, retry: true });
      if (report?.native) await ensureKernels(report.native, { retry: true });
    });
}
