/** `millrace plan`: how a saved model would be cut, placed and scheduled on this machine, without training it. */
import { Command, InvalidArgumentError } from 'commander';
import type { PlanCommandOptions } from './plan/run.js';

export function planCommand(): Command {
  return new Command('plan')
    .description('show how a saved model would be trained on this machine: stages, schedule, predicted times')
    .argument('<model>', 'a model.json, or the directory that holds it')
    .option('--backend <name>', 'engine of the workers', 'auto')
    .option('--workers <count>', 'worker threads', countOrAuto, 'auto')
    .option('--stages <count>', 'pieces of the model', countOrAuto, 'auto')
    .option('--replicas <count>', 'copies of all stages, on other samples', countOrAuto, 'auto')
    .option('--micro-batches <count>', 'pieces of a mini-batch', countOrAuto, 'auto')
    .option('--batch-size <count>', 'samples of a mini-batch', count, 32)
    .option('--schedule <name>', 'order of work in each worker', 'auto')
    .option('--memory-limit <bytes>', 'what each worker may hold in training, by estimate', count)
    .option('--optimizer <name>', "optimizer to plan for; by default the saved model's own, or adam")
    .option(
      '--loss <name>',
      "loss of every output; by default the saved model's own, or what suits the last layers",
    )
    .option('--setup <modules...>', 'modules with custom layers, losses and metrics')
    .option('--traced-layers <classes...>', 'classes of custom layers that run as graphs')
    .option('--timeline <file>', 'also write the predicted timeline: .html for a browser, .json for Perfetto')
    .option('--no-cache', 'measure the layers anew, and keep nothing of it')
    .option('--json', 'print the plan as JSON')
    .addHelpText(
      'after',
      '\nStarts the workers and measures the layers, as training does. Where no counts are asked for, all plans that use the workers ' +
        'are simulated,\nand listed. Exit code: 0 with a plan, else 1.',
    )
    .action(async (model: string, options: PlanCommandOptions) => {
      // Only now: the other commands need no TensorFlow.js.
      const { runPlan } = await import('./plan/run.js');
      console.log(await runPlan(model, options));
    });
}

function countOrAuto(text: string): number | 'auto' {
  return text === 'auto' ? text : count(text);
}

function count(text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError('It must be a whole number of at least 1.');
  return Number(text);
}
