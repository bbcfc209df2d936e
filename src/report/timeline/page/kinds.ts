/**
 * The kinds of action: letter, name and colour. The colours are those of Okabe and Ito ("Color Universal Design", 2008) as far
 * as they go, and differ in lightness too; every slice that has room for it carries its letter besides.
 */
import { element } from './dom.js';

export interface Kind {
  readonly letter: string;
  readonly name: string;
  /** A custom property of the page's style, which knows light and dark. */
  readonly colour: string;
  /** Written upon the colour. */
  readonly ink: string;
}

export const KINDS: Readonly<Record<string, Kind>> = {
  forward: { letter: 'F', name: 'forward', colour: '--forward', ink: '#fff' },
  backwardInput: {
    letter: 'B',
    name: 'backward, gradient of the input',
    colour: '--backward',
    ink: '#241700',
  },
  backwardWeight: { letter: 'W', name: 'gradient of the weights', colour: '--weights', ink: '#fff' },
  recompute: { letter: 'R', name: 'forward again', colour: '--recompute', ink: '#00202e' },
  step: { letter: 'S', name: "optimizer's step", colour: '--step', ink: '#fff' },
  send: { letter: '>', name: 'send', colour: '--send', ink: '#fff' },
  receive: { letter: '<', name: 'wait for a message', colour: '--wait', ink: '#fff' },
};

/** Of a kind that this page is too old to know. */
export const OTHER: Kind = { letter: '?', name: 'other work', colour: '--send', ink: '#fff' };

export function kindOf(name: string): Kind {
  return KINDS[name] ?? OTHER;
}

/** The page's colours as they are now: they change with the system's choice of light or dark. */
export class Colours {
  #values = new Map<string, string>();

  of(property: string): string {
    let value = this.#values.get(property);
    if (value === undefined) {
      value = getComputedStyle(document.documentElement).getPropertyValue(property).trim();
      this.#values.set(property, value);
    }
    return value;
  }

  forget(): void {
    this.#values = new Map();
  }
}

export function legend(names: ReadonlySet<string>): HTMLElement {
  const entries = Object.entries(KINDS).filter(([name]) => names.has(name));
  return element(
    'ul',
    { class: 'legend', 'aria-label': 'Colours' },
    ...entries.map(([, { letter, name, colour, ink }]) =>
      element(
        'li',
        {},
        element(
          'span',
          { class: 'swatch', style: `background: var(${colour}); color: ${ink}`, 'aria-hidden': 'true' },
          letter,
        ),
        name,
      ),
    ),
  );
}
