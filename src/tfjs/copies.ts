/**
 * Tells several copies of TensorFlow.js in one program apart from one. They share the engine, but each has classes of its
 * own: what one copy made is no model, and no callback, to another.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const IN_LAYERS_PACKAGE = /^(.*[\\/]@tensorflow[\\/]tfjs-layers)[\\/]/;

/** Directories of the copies of tfjs-layers that are loaded, however they were; none where a bundler has hidden them. */
function loadedCopies(): readonly string[] {
  // `import` keeps what is CommonJS here too, as all of tfjs is.
  const files = Object.keys(createRequire(import.meta.url).cache);
  return [
    ...new Set(files.map(file => IN_LAYERS_PACKAGE.exec(file)?.[1]).filter(path => path !== undefined)),
  ];
}

function withVersion(directory: string): string {
  try {
    const { version } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as {
      version?: string;
    };
    return `${directory} (${version})`;
  } catch {
    return directory;
  }
}

/** Sentences for an error: which copies there are, and how to have one. */
export function explainCopies(): string {
  const copies = loadedCopies();
  const found = copies.length > 1 ? ` Loaded are ${copies.map(withVersion).join(' and ')}.` : '';
  return (
    `${found} Install @tensorflow/tfjs ~4.22.0 once, so that \`npm ls @tensorflow/tfjs-layers\` shows a single copy; ` +
    '`npm dedupe` may be enough.'
  );
}

/** Whether an object's class, or one that it extends, has this name, in whichever copy. */
export function isOfClassNamed(value: unknown, name: string): boolean {
  for (let type = prototypeOf(value); type !== null; type = prototypeOf(type)) {
    if ((type as { constructor?: { name?: string } }).constructor?.name === name) return true;
  }
  return false;
}

function prototypeOf(value: unknown): object | null {
  return value === null || value === undefined ? null : (Object.getPrototypeOf(value) as object | null);
}
