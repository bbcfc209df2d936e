/** The figures at the top. */
import type { PageData } from '../html/page-data.js';
import { element } from './dom.js';
import { formatBytes, formatError, formatLoss, formatMs, formatNumber, formatShare } from './format.js';
import type { Slices } from './slices.js';

export function tiles(data: PageData, slices: Slices): HTMLElement {
  const { comparison, measured, predicted } = data;
  const { measuredMs, predictedMs, error, rows, measuredBubble, predictedBubble } = comparison;
  const last = measured.at(-1);
  const live = [...measured, ...predicted].flatMap(run => slices.live(run).flat());
  const peakBytes = live.reduce((most, { bytes }) => Math.max(most, bytes), 0);
  const paceMs = measuredMs ?? predictedMs;
  const parts = [
    ...(measuredMs === undefined ? [] : [tile('measured', formatMs(measuredMs), 'a mini-batch, median')]),
    predictedMs === undefined
      ? tile('predicted', '–', 'the layers were not measured')
      : tile(
          'predicted',
          formatMs(predictedMs),
          error === undefined ? 'a mini-batch' : `a mini-batch; measured ${formatError(error)}`,
        ),
    ...(measuredBubble === undefined
      ? []
      : [tile('idle, measured', formatShare(measuredBubble), 'of all workers’ time')]),
    ...(predictedBubble === undefined
      ? []
      : [tile('idle, predicted', formatShare(predictedBubble), 'of all workers’ time')]),
    ...(paceMs === undefined || rows === 0
      ? []
      : [
          tile(
            'throughput',
            formatNumber((rows * 1e3) / paceMs),
            `samples a second${measuredMs === undefined ? ', predicted' : ''}`,
          ),
        ]),
    tile('activations', peakBytes === 0 ? '–' : formatBytes(peakBytes), 'most that a worker keeps'),
    ...(last?.loss === undefined ? [] : [tile('loss', formatLoss(last.loss), `of step ${last.step}`)]),
  ];
  return element('div', { class: 'tiles' }, ...parts);
}

function tile(label: string, value: string, what: string): HTMLElement {
  return element(
    'div',
    { class: 'tile' },
    element('span', { class: 'label' }, label),
    element('span', { class: 'value' }, value),
    element('span', { class: 'what' }, what),
  );
}
