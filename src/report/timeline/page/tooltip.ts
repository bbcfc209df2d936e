/** The one tooltip of the page. It is also a status that a screen reader says, for slices that the keyboard has chosen. */
import { element } from './dom.js';

export interface Tip {
  readonly title: string;
  /** A custom property: the colour of what is told of. */
  readonly colour?: string;
  readonly rows: readonly (readonly [label: string, value: string])[];
}

const GAP_PX = 14;

export class Tooltip {
  readonly root = element('div', { id: 'tooltip', role: 'status', hidden: '' });

  show({ title, colour, rows }: Tip, x: number, y: number): void {
    const { root } = this;
    root.replaceChildren(
      element('strong', colour === undefined ? {} : { style: `border-color: var(${colour})` }, title),
      element(
        'dl',
        {},
        ...rows.flatMap(([label, value]) => [element('dt', {}, label), element('dd', {}, value)]),
      ),
    );
    root.hidden = false;
    const { width, height } = root.getBoundingClientRect();
    const left = x + GAP_PX + width > window.innerWidth ? x - GAP_PX - width : x + GAP_PX;
    const top = y + GAP_PX + height > window.innerHeight ? y - GAP_PX - height : y + GAP_PX;
    root.style.left = `${Math.max(4, left)}px`;
    root.style.top = `${Math.max(4, top)}px`;
  }

  hide(): void {
    this.root.hidden = true;
  }
}
