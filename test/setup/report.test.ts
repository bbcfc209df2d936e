import { utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  isStillTrue,
  readSetupReport,
  type SetupReport,
  setupReportPath,
  stampFiles,
  writeSetupReport,
} from '#internal/setup/report.js';
import { fakeProject, writeFiles } from './fixtures.js';

function reported() {
  const { tfjsNode } = fakeProject({ 'lib/addon.node': 'addon' });
  const addon = path.join(tfjsNode.directory, 'lib/addon.node');
  const file = setupReportPath(tfjsNode);
  const report = writeSetupReport(file, {
    tfjsNode: { directory: tfjsNode.directory, version: tfjsNode.version },
    native: {
      origin: 'source build',
      madeFrom: 'a test',
      tensorflowVersion: '2.15.1',
      attributeNamesLocked: true,
      stamp: stampFiles([addon]),
    },
    attempts: [],
  });
  return { tfjsNode, addon, file, report };
}

describe("the set-up's report", () => {
  it('stands in node_modules and is read back', () => {
    const { tfjsNode, file, report } = reported();
    expect(file).toBe(path.join(tfjsNode.nodeModulesDirectory, '.millrace', 'setup.json'));
    expect(readSetupReport(file)).toEqual(report);
    expect(isStillTrue(report, tfjsNode)).toBe(true);
  });

  it('counts for nothing when it is missing, damaged or of another version', () => {
    const { tfjsNode, file, report } = reported();
    expect(readSetupReport(`${file}.missing`)).toBeNull();
    writeFileSync(file, '{"reportVersion": 1, "nat');
    expect(readSetupReport(file)).toBeNull();
    writeFileSync(file, JSON.stringify({ ...report, reportVersion: 0 }));
    expect(readSetupReport(file)).toBeNull();
    expect(isStillTrue(null, tfjsNode)).toBe(false);
  });

  const changed: [string, (state: ReturnType<typeof reported>) => SetupReport][] = [
    [
      'the addon was replaced by one of another size',
      ({ addon, report }) => {
        writeFileSync(addon, 'other one');
        return report;
      },
    ],
    [
      'the addon was touched',
      ({ addon, report }) => {
        utimesSync(addon, 1, 1);
        return report;
      },
    ],
    ['Node is another', ({ report }) => ({ ...report, nodeVersion: 'v99.0.0' })],
    [
      'tfjs-node is another',
      ({ report }) => ({ ...report, tfjsNode: { ...report.tfjsNode!, version: '4.21.0' } }),
    ],
    ['native TensorFlow was not obtained', ({ report }) => ({ ...report, native: null })],
  ];
  it.each(changed)('does not hold any more when %s', (_what, change) => {
    const state = reported();
    expect(isStillTrue(change(state), state.tfjsNode)).toBe(false);
  });

  it('does not hold for another copy of the package', () => {
    const { report } = reported();
    const other = fakeProject();
    writeFiles(other.tfjsNode.directory, { 'lib/addon.node': 'addon' });
    expect(isStillTrue(report, other.tfjsNode)).toBe(false);
  });
});
