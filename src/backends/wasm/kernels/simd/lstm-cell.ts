/**
 * One step of an LSTM for one sample, after the matrix products, and the way back:
 *
 *     forward(i, f, g, o, before, c, h, units)               gates replace their pre-activations
 *     backward(i, f, g, o, before, c, dy, dh, dc, di, df, dg, do, units)
 *
 * `before` is the state before the step. Backwards, `dy` and `dh` are the gradients that the output gets from above and from
 * the next step; `dc`, that of the state, is replaced by what goes to the step before.
 */
import { ELEMENT_ACTIVATIONS, type ElementActivation, type ElementActivationName } from './activations.js';
import { add, type ElementWise, mul } from './element-wise.js';

export interface LstmCell {
  readonly forward: ElementWise;
  readonly backward: ElementWise;
}

function forward(gate: ElementActivation, activation: ElementActivation): ElementWise {
  const activated = (name: string, { apply }: ElementActivation): Readonly<Record<string, string>> => {
    const result = `${name}.result`;
    return { ...apply(result, name), [name]: `local.get ${result}` };
  };
  return {
    name: 'forward',
    reads: ['i', 'f', 'g', 'o', 'before'],
    scalars: [],
    compute: {
      ...activated('i', gate),
      ...activated('f', gate),
      ...activated('g', activation),
      ...activated('o', gate),
      c: add(mul('f', 'before'), mul('i', 'g')),
      ...activation.apply('a', 'c'),
      h: mul('o', 'a'),
    },
    writes: ['i', 'f', 'g', 'o', 'c', 'h'],
  };
}

function backward(gate: ElementActivation, activation: ElementActivation): ElementWise {
  return {
    name: 'backward',
    reads: ['i', 'f', 'g', 'o', 'before', 'c', 'dy', 'dh', 'dc'],
    scalars: [],
    compute: {
      ...activation.apply('a', 'c'),
      total: add('dy', 'dh'),
      through: mul('total', 'o'),
      state: add('dc', activation.gradient('through', 'a')),
      ofI: mul('state', 'g'),
      ofF: mul('state', 'before'),
      ofG: mul('state', 'i'),
      ofO: mul('total', 'a'),
      di: gate.gradient('ofI', 'i'),
      df: gate.gradient('ofF', 'f'),
      dg: activation.gradient('ofG', 'g'),
      do: gate.gradient('ofO', 'o'),
      dc: mul('state', 'f'),
    },
    writes: ['dc', 'di', 'df', 'dg', 'do'],
  };
}

const cells = new Map<string, LstmCell>();

/** The same object for the same names. */
export function lstmCell(gateName: ElementActivationName, activationName: ElementActivationName): LstmCell {
  const key = `${gateName} ${activationName}`;
  const [gate, activation] = [ELEMENT_ACTIVATIONS[gateName], ELEMENT_ACTIVATIONS[activationName]];
  const cell = cells.get(key) ?? { forward: forward(gate, activation), backward: backward(gate, activation) };
  cells.set(key, cell);
  return cell;
}
