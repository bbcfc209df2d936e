/**
 * A copy of the addon's C++ source with one change: a lock around its process-global set of attribute names. Two
 * worker threads that insert at the same time corrupt that `std::set` and crash the process (tfjs issue 8388). The
 * change is made by replacing exact text, so that another version of the source is refused rather than half patched.
 */
import { cp, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { SetupError } from '../errors.js';

/** The files that binding.gyp lists as sources. */
const SOURCE_NAMES = ['tfjs_backend.cc', 'tfjs_binding.cc'];
const PATCHED_NAME = 'tfjs_backend.cc';

/**
 * @typedef {object} Replacement
 * @property {string} what
 * @property {string} before
 * @property {string} after
 */

/** @type {readonly Replacement[]} */
const LOCK_REPLACEMENTS = [
  {
    what: 'the include of <memory>',
    before: '#include <memory>\n',
    after: '#include <memory>\n#include <mutex>\n',
  },
  {
    what: 'the definition of ATTR_NAME_SET',
    before: 'static std::set<std::string> ATTR_NAME_SET;\n',
    after: 'static std::set<std::string> ATTR_NAME_SET;\nstatic std::mutex ATTR_NAME_SET_MUTEX;\n',
  },
  {
    what: 'the insertion into ATTR_NAME_SET',
    before: `  const char *attr_name =
      ATTR_NAME_SET.insert(attr_name_string.c_str()).first->c_str();
`,
    // A std::set never moves its elements, so the pointer may outlive the lock.
    after: `  const char *attr_name;
  {
    std::lock_guard<std::mutex> attr_name_lock(ATTR_NAME_SET_MUTEX);
    attr_name = ATTR_NAME_SET.insert(attr_name_string.c_str()).first->c_str();
  }
`,
  },
];

/**
 * @param {string} source the text of tfjs_backend.cc
 * @param {string} [where] for the error
 * @returns {string}
 */
export function lockAttributeNames(source, where = PATCHED_NAME) {
  return LOCK_REPLACEMENTS.reduce((text, { what, before, after }) => {
    const count = text.split(before).length - 1;
    if (count !== 1) {
      throw new SetupError(
        `${where}: ${what} should be there exactly once in its known form but was found ${count} times, ` +
          'so the lock around the attribute names cannot be put in',
        { remedy: 'use @tensorflow/tfjs-node 4.22.0, whose source is known' },
      );
    }
    return text.replace(before, () => after);
  }, source);
}

/**
 * @param {import('../locate.js').TfjsNodePackage} tfjsNode
 * @param {string} toDirectory
 * @returns {Promise<string[]>} the files to compile
 */
export async function prepareAddonSource(tfjsNode, toDirectory) {
  const fromDirectory = path.join(tfjsNode.directory, 'binding');
  const original = await readFile(path.join(fromDirectory, PATCHED_NAME), 'utf8').catch(error => {
    throw new SetupError(`${fromDirectory} has no ${PATCHED_NAME}`, { cause: error });
  });
  const patched = lockAttributeNames(original, path.join(fromDirectory, PATCHED_NAME));
  await cp(fromDirectory, toDirectory, { recursive: true });
  await writeFile(path.join(toDirectory, PATCHED_NAME), patched);
  return SOURCE_NAMES.map(name => path.join(toDirectory, name));
}
