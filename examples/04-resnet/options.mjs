/** What the command line takes. */
import { Command } from 'commander';
import { backendOption, count, countOrAuto, timelineOption } from '../shared/arguments.mjs';

export const DEFAULT_EPOCHS = 10;

/**
 * @typedef {object} Options
 * @property {'auto' | 'tensorflow' | 'wasm' | 'cpu'} backend
 * @property {'auto' | number} stages
 * @property {number} epochs
 * @property {number} [samples] digits to use; all of them where it is not given
 * @property {string} [timeline] file for the timeline of the last steps
 */

/** @returns {Options} */
export function readOptions() {
  return new Command('train.mjs')
    .description('Trains a small residual network on MNIST digits.')
    .addOption(backendOption())
    .option('--stages <count>', 'pieces to cut the network into; auto is one per core', countOrAuto, 'auto')
    .option('--epochs <count>', 'times to go through the training digits', count, DEFAULT_EPOCHS)
    .option(
      '--samples <count>',
      'use only so many digits, whatever the accuracy; for trying things out',
      count,
    )
    .addOption(timelineOption())
    .parse()
    .opts();
}
