/**
 * The set-up's report: how native TensorFlow was obtained, or why each way failed. It stands in `node_modules`
 * beside what it describes, so it vanishes together with it. The doctor prints it, the runtime quotes it when it falls
 * back to another backend, and the next set-up uses its stamp to see that nothing has changed.
 */
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { findProjectDirectory, locateTfjsNode } from './locate.js';

const REPORT_VERSION = 1;

/** @typedef {'already there' | 'install script' | 'source build'} Origin */

/**
 * @typedef {object} Attempt One way that was tried.
 * @property {string} way
 * @property {boolean} ok
 * @property {string} detail what came of it, in one line
 * @property {string | null} remedy what the user can do about a failure
 * @property {number} durationMs
 */

/**
 * @typedef {object} FileStamp
 * @property {string} path
 * @property {number} bytes
 * @property {number} modifiedMs
 */

/**
 * @typedef {object} NativeFacts
 * @property {Origin} origin
 * @property {string | null} madeFrom what it was built from and with, where this set-up knows
 * @property {string} tensorflowVersion
 * @property {boolean} attributeNamesLocked whether the addon was built with the lock around its attribute names
 * @property {readonly FileStamp[]} stamp the addon and its libraries as they were when they were probed
 */

/**
 * @typedef {object} SetupReport
 * @property {number} reportVersion
 * @property {string} writtenAt ISO 8601
 * @property {string} nodeVersion
 * @property {string} platform such as `linux-x64`
 * @property {{ directory: string, version: string } | null} tfjsNode null when the package is not installed
 * @property {NativeFacts | null} native null when native TensorFlow cannot be had
 * @property {readonly Attempt[]} attempts
 */

/**
 * @param {import('./locate.js').TfjsNodePackage | null} [tfjsNode]
 * @param {string} [projectDirectory] counts only when the package is not installed
 * @returns {string}
 */
export function setupReportPath(tfjsNode = locateTfjsNode(), projectDirectory = findProjectDirectory()) {
  const nodeModules = tfjsNode?.nodeModulesDirectory ?? path.join(projectDirectory, 'node_modules');
  return path.join(nodeModules, '.millrace', 'setup.json');
}

/**
 * @param {string} [reportPath]
 * @returns {SetupReport | null} null when no set-up has run here, or an older one whose report says less
 */
export function readSetupReport(reportPath = setupReportPath()) {
  try {
    const report = JSON.parse(readFileSync(reportPath, 'utf8'));
    return report.reportVersion === REPORT_VERSION ? report : null;
  } catch {
    return null;
  }
}

/**
 * @param {string} reportPath
 * @param {Omit<SetupReport, 'reportVersion' | 'writtenAt' | 'nodeVersion' | 'platform'>} content
 * @returns {SetupReport}
 */
export function writeSetupReport(reportPath, content) {
  /** @type {SetupReport} */
  const report = {
    reportVersion: REPORT_VERSION,
    writtenAt: new Date().toISOString(),
    nodeVersion: process.version,
    platform: `${process.platform}-${process.arch}`,
    ...content,
  };
  mkdirSync(path.dirname(reportPath), { recursive: true });
  const beside = `${reportPath}.${process.pid}`;
  writeFileSync(beside, `${JSON.stringify(report, null, 2)}\n`);
  renameSync(beside, reportPath);
  return report;
}

/**
 * @param {readonly string[]} files
 * @returns {FileStamp[]}
 */
export function stampFiles(files) {
  return files.map(file => {
    const { size, mtimeMs } = statSync(file);
    return { path: file, bytes: size, modifiedMs: mtimeMs };
  });
}

/**
 * Whether the report still describes what stands there, for this Node.
 * @param {SetupReport | null} report
 * @param {import('./locate.js').TfjsNodePackage} tfjsNode
 * @returns {report is SetupReport & { native: NativeFacts }}
 */
export function isStillTrue(report, tfjsNode) {
  if (report?.native == null || report.native.stamp.length === 0) return false;
  if (report.nodeVersion !== process.version) return false;
  if (report.tfjsNode?.directory !== tfjsNode.directory || report.tfjsNode.version !== tfjsNode.version)
    return false;
  return report.native.stamp.every(before => {
    try {
      const now = statSync(before.path);
      return now.size === before.bytes && now.mtimeMs === before.modifiedMs;
    } catch {
      return false;
    }
  });
}
