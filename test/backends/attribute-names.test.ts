import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ATTRIBUTE_NAMES } from '#internal/backends/tensorflow/attribute-names.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const tfjsNodeDirectory = path.join(root, 'node_modules/@tensorflow/tfjs-node/dist');
const ownDirectory = path.join(root, 'src/backends/tensorflow');

/** An attribute is written as an object with a name and a type, or through one of tfjs-node's two helpers. */
const ATTRIBUTE = /\bname:\s*(['"])(?<written>\w+)\1,\s*type:|OpAttr\)?\(\s*(['"])(?<passed>\w+)\3/g;

/** Millrace's own come from the methods of `RawOps`. */
const OWN_ATTRIBUTE = /\braw\.(?:type|bool|ints|number|string|shape)\(\s*(['"])(?<written>\w+)\1/g;

/** Names of attributes in the sources below a directory, each with the file that it was last seen in. */
function attributesIn(
  directory: string,
  isSource: (file: string) => boolean,
  pattern = ATTRIBUTE,
): Map<string, string> {
  const found = new Map<string, string>();
  for (const file of readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter(isSource)) {
    for (const { groups } of readFileSync(path.join(directory, file), 'utf8').matchAll(pattern)) {
      found.set((groups?.['written'] ?? groups?.['passed'])!, file);
    }
  }
  return found;
}

const isTfjsNodeSource = (file: string): boolean => file.endsWith('.js') && !file.endsWith('_test.js');

function unlisted(found: ReadonlyMap<string, string>): [string, string][] {
  return [...found].filter(([name]) => !(ATTRIBUTE_NAMES as readonly string[]).includes(name));
}

describe('the attribute names that are entered before workers start', () => {
  it.skipIf(!existsSync(tfjsNodeDirectory))('contain every name in the sources of tfjs-node', () => {
    const found = attributesIn(tfjsNodeDirectory, isTfjsNodeSource);
    // A scan that sees too little would find nothing missing.
    expect(found.size).toBeGreaterThan(80);
    for (const name of ['T', 'strides', 'data_format', 'output_type', 'Tidx', 'SrcT']) {
      expect([...found.keys()]).toContain(name);
    }
    expect(unlisted(found)).toEqual([]);
  });

  it('contain every name that Millrace passes itself', () => {
    const found = attributesIn(ownDirectory, file => file.endsWith('.ts'), OWN_ATTRIBUTE);
    for (const name of ['T', 'use_locking', 'shared_name']) expect([...found.keys()]).toContain(name);
    expect(unlisted(found)).toEqual([]);
  });

  it('are the only ones that reach the addon: few files call it, and theirs are typed by the list', () => {
    // `recording.ts` passes on what the others call.
    const callers = ['raw-ops.ts', 'addon.ts', 'onednn-guard.ts', 'recording.ts'];
    const sources = readdirSync(path.join(root, 'src'), { recursive: true, encoding: 'utf8' })
      .filter(file => file.endsWith('.ts') && !callers.includes(path.basename(file)))
      .map(file => [file, readFileSync(path.join(root, 'src', file), 'utf8')] as const);
    const calling = sources.filter(([, text]) =>
      /execute(Single|Multiple)Output|executeOp\(|TF_ATTR_/.test(text),
    );
    expect(calling.map(([file]) => file)).toEqual([]);
  });

  it('stand there once each, in order', () => {
    expect(ATTRIBUTE_NAMES).toEqual([...new Set(ATTRIBUTE_NAMES)].sort());
  });
});
