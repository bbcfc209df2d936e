/** Random recurrent layers over the steps of a sequence. */
import { type Family, type Knobs, layer, pick } from './knobs.js';
import type { Config } from './spec.js';

const RECURRENT = ['simpleRNN', 'lstm', 'gru'] as const;
const CELLS = ['simpleRNNCell', 'lstmCell', 'gruCell'] as const;

function recurrentConfig({ a, b, c }: Knobs, kind: string): Config {
  return {
    units: 1 + (a % 4),
    ...(c % 2 === 0 ? { returnSequences: true } : {}),
    ...pick(
      [{}, {}, { goBackwards: true }, { useBias: false }, { dropout: 0.3 }, { recurrentDropout: 0.4 }],
      b,
    ),
    ...(kind === 'simpleRNN' ? {} : pick([{}, { recurrentActivation: 'sigmoid' }], a + b)),
    ...(kind === 'gru' && c % 3 === 1 ? { implementation: 1 } : {}),
  };
}

export const recurrent: Family = (_, knobs) => {
  const kind = pick(RECURRENT, knobs.a);
  return layer(kind, recurrentConfig(knobs, kind), knobs);
};

export const bidirectional: Family = (_, knobs) => {
  const kind = pick(RECURRENT, knobs.a);
  const { goBackwards: _backwards, ...config } = recurrentConfig(knobs, kind);
  const mergeMode = pick(['concat', 'sum', 'mul', 'ave'], knobs.b);
  return layer('bidirectional', { mergeMode }, knobs, [layer(kind, config, { ...knobs, frozen: false })]);
};

export const stackedCells: Family = (_, knobs) => {
  const cells = [0, 1].map(place =>
    layer(
      pick(CELLS, knobs.a + place * knobs.b),
      { units: 2 + ((knobs.c + place) % 3) },
      { ...knobs, frozen: false, penalty: 0 },
    ),
  );
  return layer('rnn', knobs.c % 2 === 0 ? { returnSequences: true } : {}, knobs, cells);
};
