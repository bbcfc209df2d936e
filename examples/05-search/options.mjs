/** What the command line of the example takes. */
import { Command } from 'commander';
import { backendOption, count } from '../shared/arguments.mjs';

export const DEFAULT_EPOCHS = 30;

/**
 * @typedef {object} Options
 * @property {'auto' | 'tensorflow' | 'wasm' | 'cpu'} backend
 * @property {number} [cores]
 * @property {number} epochs
 * @property {boolean} withABadOne
 */

/** @returns {Options} */
export function readOptions() {
  return new Command('train.mjs')
    .description('Looks for the network that tells three species of iris apart best.')
    .addOption(backendOption())
    .option('--cores <count>', 'networks that train at a time (default: one per core)', count)
    .option('--epochs <count>', 'times to go through the training flowers', count, DEFAULT_EPOCHS)
    .option('--with-a-bad-one', 'add a trial that fails', false)
    .parse()
    .opts();
}
