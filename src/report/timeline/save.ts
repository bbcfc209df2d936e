/** Writing a timeline to a file: a page or a trace, told by the name. */
import { extname } from 'node:path';
import { ConfigurationError } from '../../errors.js';
import { writeFilesAtomically } from '../../io/atomic-write.js';
import { ModelFileError } from '../../io/errors.js';

export type TimelineFormat = 'html' | 'json';

/** @throws ConfigurationError for a name that ends otherwise */
export function timelineFormat(path: string): TimelineFormat {
  const extension = extname(path).toLowerCase();
  if (extension === '.html' || extension === '.json') return extension.slice(1) as TimelineFormat;
  throw new ConfigurationError(
    'file',
    `A timeline is saved to a file whose name ends in .html (a page for the browser) or .json (a trace for Perfetto), but got '${path}'.`,
  );
}

export async function writeTimeline(path: string, text: string): Promise<void> {
  try {
    await writeFilesAtomically([{ path, parts: [Buffer.from(text)] }]);
  } catch (error) {
    throw new ModelFileError(
      'file-system',
      path,
      `The timeline cannot be written to '${path}': ${(error as Error).message}`,
      { cause: error },
    );
  }
}
