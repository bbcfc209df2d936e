/** What the command line takes. */
import { Command } from 'commander';
import { backendOption, count, countOrAuto, timelineOption } from '../shared/arguments.mjs';

export const DEFAULT_EPOCHS = 100;

/**
 * @typedef {object} Options
 * @property {'auto' | 'tensorflow' | 'wasm' | 'cpu'} backend
 * @property {'auto' | number} stages
 * @property {number} epochs
 * @property {string} [logs] directory for TensorBoard
 * @property {string} [timeline] file for the timeline of the last steps
 */

/** @returns {Options} */
export function readOptions() {
  return new Command('train.mjs')
    .description('Tells three species of iris apart.')
    .addOption(backendOption())
    .option('--stages <count>', 'pieces to cut the network into; auto is one per core', countOrAuto, 'auto')
    .option('--epochs <count>', 'times to go through the training flowers', count, DEFAULT_EPOCHS)
    .option('--logs <directory>', 'write losses, accuracies and histograms for TensorBoard')
    .addOption(timelineOption())
    .parse()
    .opts();
}
