/** `millrace setup`: gets native TensorFlow for the project in the current directory. */
import { Command } from 'commander';
import { ensureNativeTensorflow } from '../setup/index.js';

export function setupCommand(): Command {
  return new Command('setup')
    .description('get native TensorFlow: its own install script, else a build from source')
    .addHelpText(
      'after',
      '\nInstalls @tensorflow/tfjs-node when it is missing (without an entry in package.json). Can be repeated.\n' +
        'Exit code: 0 also when training falls back to wasm; 1 when MILLRACE_BACKEND=tensorflow and it cannot be had.',
    )
    .action(async () => {
      await ensureNativeTensorflow({ installMissing: true, retry: true });
    });
}
