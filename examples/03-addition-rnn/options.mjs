/** What the command line takes. */
import { Command } from 'commander';
import { backendOption, count, countOrAuto, timelineOption } from '../shared/arguments.mjs';

/** With these the network learns to add, so the accuracy is checked. */
export const DEFAULTS = { digits: 2, sums: 5000, units: 128, epochs: 80 };

/**
 * @typedef {object} Options
 * @property {'auto' | 'tensorflow' | 'wasm' | 'cpu'} backend
 * @property {'auto' | number} stages
 * @property {number} digits
 * @property {number} sums
 * @property {number} units of each LSTM
 * @property {number} epochs
 * @property {string} [timeline] file for the timeline of the last steps
 */

/** @returns {Options} */
export function readOptions() {
  return new Command('train.mjs')
    .description('Learns to add two numbers that are written as text.')
    .addOption(backendOption())
    .option('--stages <count>', 'pieces to cut the network into; auto is one per core', countOrAuto, 'auto')
    .option('--digits <count>', 'digits of each number', count, DEFAULTS.digits)
    .option('--sums <count>', 'sums to make, a tenth of them for the test', count, DEFAULTS.sums)
    .option('--units <count>', 'units of each LSTM', count, DEFAULTS.units)
    .option('--epochs <count>', 'times to go through the training sums', count, DEFAULTS.epochs)
    .addOption(timelineOption())
    .parse()
    .opts();
}
