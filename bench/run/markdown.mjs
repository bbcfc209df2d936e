// @ts-check
/** Pieces of a generated Markdown page: wrapped paragraphs, tables, and a section that another program owns. */

const LINE_WIDTH = 130;

/**
 * @param {string} text one paragraph
 * @returns {string} the same in lines of at most 130 columns, where words allow it
 */
export function wrap(text) {
  /** @type {string[]} */
  const lines = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    if (line !== '' && line.length + 1 + word.length > LINE_WIDTH) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].join('\n');
}

/**
 * @param {readonly string[]} titles
 * @param {readonly (readonly string[])[]} rows
 * @param {number} [textColumns] how many columns are text, from the left; the others are numbers
 * @returns {string}
 */
export function table(titles, rows, textColumns = 1) {
  const line = (/** @type {readonly string[]} */ cells) => `| ${cells.join(' | ')} |`;
  return [line(titles), `|${titles.map((_, column) => (column < textColumns ? '---|' : '--:|')).join('')}`]
    .concat(rows.map(line))
    .join('\n');
}

/** Around the part of docs/performance.md that `npm run bench:transport` writes and `npm run bench` keeps. */
const TRANSPORT_START = '<!-- transport: written by `npm run bench:transport` -->';
const TRANSPORT_END = '<!-- end of transport -->';
const NOT_MEASURED = 'Not measured yet: `npm run bench:transport` writes this section.';

/**
 * @param {string} page
 * @returns {string} what stands between the marks
 */
export function transportSection(page) {
  const start = page.indexOf(TRANSPORT_START);
  const end = page.indexOf(TRANSPORT_END, start);
  if (start < 0 || end < 0) return NOT_MEASURED;
  return page.slice(start + TRANSPORT_START.length, end).trim();
}

/**
 * @param {string} page
 * @param {string} section
 * @returns {string} the page with this section between the marks; at its end, if it had no marks
 */
export function withTransportSection(page, section) {
  const marked = `${TRANSPORT_START}\n\n${section}\n\n${TRANSPORT_END}`;
  const start = page.indexOf(TRANSPORT_START);
  const end = page.indexOf(TRANSPORT_END, start);
  if (start < 0 || end < 0) return `${page.trimEnd()}\n\n## Transport\n\n${marked}\n`;
  return page.slice(0, start) + marked + page.slice(end + TRANSPORT_END.length);
}
