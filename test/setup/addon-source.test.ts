import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { lockAttributeNames, prepareAddonSource } from '#internal/setup/build/addon-source.js';
import { locateTfjsNode } from '#internal/setup/locate.js';
import { fakeProject, temporaryDirectory } from './fixtures.js';

const installed = locateTfjsNode([import.meta.dirname]);
const source = (): string => readFileSync(path.join(installed!.directory, 'binding/tfjs_backend.cc'), 'utf8');

describe.skipIf(installed === null)('the lock around the attribute names', () => {
  it('is put around every use of the set in the source of tfjs-node 4.22.0', () => {
    const lines = lockAttributeNames(source()).split('\n');
    const uses = lines.flatMap((line, index) => (line.includes('ATTR_NAME_SET.') ? [index] : []));
    expect(uses).toHaveLength(1);
    expect(lines[uses[0]! - 1]).toContain('std::lock_guard<std::mutex> attr_name_lock(ATTR_NAME_SET_MUTEX)');
    expect(lines).toContain('#include <mutex>');
  });

  it('changes nothing else', () => {
    const before = source().split('\n');
    const after = new Set(lockAttributeNames(source()).split('\n'));
    const lost = before.filter(line => !after.has(line));
    expect(lost.map(line => line.trim())).toEqual([
      'const char *attr_name =',
      'ATTR_NAME_SET.insert(attr_name_string.c_str()).first->c_str();',
    ]);
  });

  it('leaves the package as it is and patches a copy', async () => {
    const before = source();
    const target = path.join(temporaryDirectory(), 'binding');
    const files = await prepareAddonSource(installed!, target);
    expect(files.map(file => path.basename(file))).toEqual(['tfjs_backend.cc', 'tfjs_binding.cc']);
    expect(readFileSync(files[0]!, 'utf8')).toBe(lockAttributeNames(before));
    expect(source()).toBe(before);
  });

  it('refuses source in which the set is used in an unknown way', () => {
    const changed = source().replace(
      'ATTR_NAME_SET.insert(attr_name_string.c_str())',
      'ATTR_NAME_SET.emplace(x)',
    );
    expect(() => lockAttributeNames(changed, 'binding/tfjs_backend.cc')).toThrow(
      /binding\/tfjs_backend\.cc: the insertion into ATTR_NAME_SET .* found 0 times/,
    );
  });

  it('refuses source that uses it twice', () => {
    expect(() => lockAttributeNames(source() + source())).toThrow(/found 2 times/);
  });
});

describe('preparing the source', () => {
  it('says which file is missing', async () => {
    const { tfjsNode } = fakeProject();
    await expect(prepareAddonSource(tfjsNode, temporaryDirectory())).rejects.toThrow(
      /has no tfjs_backend\.cc/,
    );
  });

  it('refuses an unknown source by name and offers the known version', async () => {
    const { tfjsNode } = fakeProject({ 'binding/tfjs_backend.cc': 'int main() {}' });
    await expect(prepareAddonSource(tfjsNode, temporaryDirectory())).rejects.toMatchObject({
      name: 'SetupError',
      message: expect.stringContaining(path.join(tfjsNode.directory, 'binding', 'tfjs_backend.cc')),
      remedy: expect.stringContaining('4.22.0'),
    });
  });
});
