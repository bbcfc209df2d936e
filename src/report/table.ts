/** Aligned columns of text. */

export interface Column {
  readonly title: string;
  /** Numbers stand to the right, so that their digits line up. */
  readonly align: 'left' | 'right';
}

const COLUMN_GAP = '  ';

/** Lines of equal columns under their titles, without trailing spaces. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const titles = columns.map(({ title }) => title);
  const widths = columns.map((_, column) =>
    Math.max(...[titles, ...rows].map(cells => cells[column]!.length)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) =>
        columns[column]!.align === 'left' ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
      )
      .join(COLUMN_GAP)
      .trimEnd();
  return [titles, ...rows].map(line).join('\n');
}
