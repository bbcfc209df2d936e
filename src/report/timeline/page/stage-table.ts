/** What each stage holds, and what one call of each kind of action takes: expected, and measured. */
import type { PageData } from '../html/page-data.js';
import { element } from './dom.js';
import { formatError, formatNumber } from './format.js';
import { KINDS } from './kinds.js';

/** Beyond this, the prediction is far enough from the truth to be pointed at. */
const NOTABLE_ERROR = 0.25;
/** Of times shorter than that, an error says nothing. */
const NOTABLE_MS = 0.05;

export function stageTable({ stages, comparison }: PageData): HTMLElement {
  const { calls } = comparison;
  const kinds = Object.keys(KINDS).filter(kind => calls.some(call => call.kind === kind));
  const titles = [
    'stage',
    'worker',
    'layers',
    'parameters',
    'weights',
    ...kinds.map(kind => `${KINDS[kind]!.name}, ms`),
  ];
  return element(
    'table',
    { class: 'stages' },
    element('thead', {}, element('tr', {}, ...titles.map(title => element('th', { scope: 'col' }, title)))),
    element(
      'tbody',
      {},
      ...stages.map(({ stage, worker, layers, parameters, weights }) =>
        element(
          'tr',
          { 'data-stage': stage },
          element('th', { scope: 'row' }, String(stage)),
          element('td', {}, String(worker)),
          element('td', { class: 'layers', title: layers.join(', ') }, layers.join(', ')),
          element('td', { class: 'number' }, parameters),
          element('td', { class: 'number' }, weights),
          ...kinds.map(kind => callCell(calls.find(call => call.stage === stage && call.kind === kind))),
        ),
      ),
    ),
  );
}

function callCell(call: PageData['comparison']['calls'][number] | undefined): HTMLElement {
  if (call === undefined) return element('td', { class: 'number' }, '–');
  const { predictedMs, measuredMs, error } = call;
  const isOff =
    error !== undefined &&
    Math.abs(error) > NOTABLE_ERROR &&
    Math.max(predictedMs!, measuredMs!) > NOTABLE_MS;
  const show = (ms: number | undefined): string => (ms === undefined ? '–' : formatNumber(ms));
  return element(
    'td',
    { class: 'number' },
    element('div', {}, measuredMs === undefined ? show(predictedMs) : show(measuredMs)),
    ...(measuredMs === undefined || predictedMs === undefined
      ? []
      : [
          element(
            'div',
            { class: isOff ? 'expected off' : 'expected' },
            `${show(predictedMs)}${error === undefined ? '' : ` · ${formatError(error)}`}`,
          ),
        ]),
  );
}
