/** `trainer.profile()` as text: a table of the layers for each size of micro-batch. */
import type { LayerProfile, MicroBatchProfile, ModelProfile } from '../profile.js';
import { type Column, formatTable } from './table.js';
import { formatBytes, formatCount } from './units.js';

const COLUMNS: readonly { readonly column: Column; readonly cell: (layer: LayerProfile) => string }[] = [
  { column: { title: 'call', align: 'right' }, cell: ({ node }) => String(node) },
  { column: { title: 'layer', align: 'left' }, cell: ({ layer }) => layer },
  { column: { title: 'F ms', align: 'right' }, cell: ({ forwardMs }) => formatMs(forwardMs) },
  { column: { title: 'B ms', align: 'right' }, cell: ({ backwardInputMs }) => formatMs(backwardInputMs) },
  { column: { title: 'W ms', align: 'right' }, cell: ({ backwardWeightMs }) => formatMs(backwardWeightMs) },
  { column: { title: 'sum ms', align: 'right' }, cell: ({ accumulateMs }) => formatMs(accumulateMs) },
  { column: { title: 'step ms', align: 'right' }, cell: ({ stepMs }) => formatMs(stepMs) },
  {
    column: { title: 'activations', align: 'right' },
    cell: ({ activationBytes }) => formatBytes(activationBytes),
  },
  { column: { title: 'weights', align: 'right' }, cell: ({ weightBytes }) => formatBytes(weightBytes) },
];

/**
 * Draws a profile as tables for people: F is the forward pass, B the gradient of the inputs, W that of the weights, all for
 * one micro-batch; sums are made for each micro-batch but the first, and the optimizer steps once a mini-batch.
 */
export function formatProfile({ backend, backendVersion, workers, microBatches }: ModelProfile): string {
  const measured = `measured on ${backend} ${backendVersion}, ${formatCount(workers)} worker${workers === 1 ? '' : 's'} at a time`;
  return [measured, ...microBatches.map(formatSize)].join('\n\n');
}

function formatSize({ rows, layers }: MicroBatchProfile): string {
  const table = formatTable(
    COLUMNS.map(({ column }) => column),
    layers.map(layer => COLUMNS.map(({ cell }) => cell(layer))),
  );
  return `micro-batches of ${formatCount(rows)} sample${rows === 1 ? '' : 's'}\n${table}`;
}

function formatMs(ms: number): string {
  return ms.toFixed(3);
}
