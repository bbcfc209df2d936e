/** `millrace doctor`: what was found on this machine, and what to do about what was not. */
import { Command } from 'commander';
import { examine } from './doctor/examine.js';
import { formatDiagnosis } from './doctor/format.js';

export function doctorCommand(): Command {
  return new Command('doctor')
    .description('show Node, cores and every backend, how native TensorFlow was obtained, and what to do')
    .option('--json', 'print the same as JSON')
    .addHelpText('after', '\nExit code: 0 when the backend that would be used loads, else 1.')
    .action(async (options: { json?: boolean }) => {
      const diagnosis = await examine();
      console.log(options.json ? JSON.stringify(diagnosis, null, 2) : formatDiagnosis(diagnosis));
      if (diagnosis.used === null || !diagnosis.node.supported) process.exitCode = 1;
    });
}
