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

/** Parts of docs/performance.md that other programs write and `npm run bench` keeps. */
const SECTIONS = { transport: 'Transport', memory: 'Memory' };

/** @typedef {keyof typeof SECTIONS} SectionName */

/** @param {SectionName} name */
const marksOf = name => ({
  start: `<!-- ${name}: written by \`npm run bench:${name}\` -->`,
  end: `<!-- end of ${name} -->`,
});

/**
 * @param {string} page
 * @param {SectionName} name
 * @returns {string} what stands between the section's marks
 */
export function sectionOf(page, name) {
  const marks = marksOf(name);
  const start = page.indexOf(marks.start);
  const end = page.indexOf(marks.end, start);
  if (start < 0 || end < 0) return `Not measured yet: \`npm run bench:${name}\` writes this section.`;
  return page.slice(start + marks.start.length, end).trim();
}

/**
 * @param {string} page
 * @param {SectionName} name
 * @param {string} section
 * @returns {string} the page with this section between its marks; at its end, if it had none
 */
export function withSection(page, name, section) {
  const marks = marksOf(name);
  const marked = `${marks.start}\n\n${section}\n\n${marks.end}`;
  const start = page.indexOf(marks.start);
  const end = page.indexOf(marks.end, start);
  if (start < 0 || end < 0) return `${page.trimEnd()}\n\n## ${SECTIONS[name]}\n\n${marked}\n`;
  return page.slice(0, start) + marked + page.slice(end + marks.end.length);
}
