/**
 * One step of a GRU for one sample, between and after its two matrix products, and the way back:
 *
 *     gates(u, r, before, reset, units)                              gates replace their pre-activations
 *     output(n, u, before, h, units)                                 the candidate replaces its pre-activation
 *     ofOutput(u, n, before, dy, dh, du, dn, units)                  `dh` becomes what goes straight to the step before
 *     ofReset(r, before, dReset, dh, dr, units)                      adds to it what goes through the reset state
 */
import { ELEMENT_ACTIVATIONS, type ElementActivationName } from './activations.js';
import { add, constant, type ElementWise, mul, sub } from './element-wise.js';

export interface GruCell {
  readonly gates: ElementWise;
  readonly output: ElementWise;
  readonly ofOutput: ElementWise;
  readonly ofReset: ElementWise;
}

function makeCell(gateName: ElementActivationName, activationName: ElementActivationName): GruCell {
  const [gate, activation] = [ELEMENT_ACTIVATIONS[gateName], ELEMENT_ACTIVATIONS[activationName]];
  return {
    gates: {
      name: 'gates',
      reads: ['u', 'r', 'before'],
      scalars: [],
      compute: {
        ...gate.apply('update', 'u'),
        u: 'local.get update',
        ...gate.apply('open', 'r'),
        r: 'local.get open',
        reset: mul('r', 'before'),
      },
      writes: ['u', 'r', 'reset'],
    },
    output: {
      name: 'output',
      reads: ['n', 'u', 'before'],
      scalars: [],
      compute: {
        ...activation.apply('candidate', 'n'),
        n: 'local.get candidate',
        h: add(mul('u', 'before'), mul(sub(constant(1), 'u'), 'n')),
      },
      writes: ['n', 'h'],
    },
    ofOutput: {
      name: 'ofOutput',
      reads: ['u', 'n', 'before', 'dy', 'dh'],
      scalars: [],
      compute: {
        total: add('dy', 'dh'),
        ofUpdate: mul('total', sub('before', 'n')),
        ofCandidate: mul('total', sub(constant(1), 'u')),
        du: gate.gradient('ofUpdate', 'u'),
        dn: activation.gradient('ofCandidate', 'n'),
        dh: mul('total', 'u'),
      },
      writes: ['dh', 'du', 'dn'],
    },
    ofReset: {
      name: 'ofReset',
      reads: ['r', 'before', 'dReset', 'dh'],
      scalars: [],
      compute: {
        ofGate: mul('dReset', 'before'),
        dr: gate.gradient('ofGate', 'r'),
        dh: add('dh', mul('dReset', 'r')),
      },
      writes: ['dh', 'dr'],
    },
  };
}

const cells = new Map<string, GruCell>();

/** The same object for the same names. */
export function gruCell(gateName: ElementActivationName, activationName: ElementActivationName): GruCell {
  const key = `${gateName} ${activationName}`;
  const cell = cells.get(key) ?? makeCell(gateName, activationName);
  cells.set(key, cell);
  return cell;
}
