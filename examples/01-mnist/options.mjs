/** What the command line takes. */
import { Command } from 'commander';
import { backendOption, count, countOrAuto, timelineOption } from '../shared/arguments.mjs';

/**
 * @typedef {object} Options
 * @property {string} [json] file to write the results to
 * @property {'auto' | 'tensorflow' | 'wasm' | 'cpu'} backend
 * @property {'auto' | number} stages
 * @property {number} epochs
 * @property {number} batchSize digits between two optimizer steps
 * @property {number} plainSeconds for how long plain fit is measured
 * @property {number} [samples] digits to use; all of them where it is not given
 * @property {string} [timeline] file for the timeline of the last steps
 */

/** @returns {Options} */
export function readOptions() {
  return new Command('train.mjs')
    .description('Trains a convolutional network on MNIST digits as a pipeline over worker threads.')
    .option('--json <file>', 'also write the results to this file')
    .addOption(backendOption())
    .option('--stages <count>', 'pieces to cut the network into; auto is one per core', countOrAuto, 'auto')
    .option('--epochs <count>', 'times to go through the training digits', count, 12)
    .option('--batch-size <count>', 'digits between two optimizer steps', count, 128)
    .option('--plain-seconds <count>', 'for how long plain fit is measured', count, 15)
    .option(
      '--samples <count>',
      'use only so many digits, whatever the accuracy; for trying things out',
      count,
    )
    .addOption(timelineOption())
    .parse()
    .opts();
}
