/**
 * Finds the C headers of Node-API: those that came with this Node, else those of the npm package `node-api-headers`.
 * The interface is stable across versions of Node, so either will do.
 */
import { existsSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { SetupError } from '../errors.js';
import { resolvePackageDirectory } from '../locate.js';

const HEADER_NAME = 'node_api.h';

/** @typedef {{ directory: string, origin: string }} NodeHeaders */

/**
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<NodeHeaders>}
 */
export async function findNodeHeaders(env) {
  const found = candidates(env).find(({ directory }) => existsSync(path.join(directory, HEADER_NAME)));
  if (found !== undefined) return found;
  throw new SetupError(
    `found no ${HEADER_NAME}, neither beside this Node nor in the package node-api-headers`,
    {
      remedy: 'install the package node-api-headers, or point npm_config_nodedir to a Node with headers',
    },
  );
}

/**
 * @param {NodeJS.ProcessEnv} env
 * @returns {NodeHeaders[]}
 */
function candidates(env) {
  /** @type {NodeHeaders[]} */
  const list = [];
  const nodeDirectory = env['npm_config_nodedir'];
  if (nodeDirectory !== undefined && nodeDirectory !== '') {
    list.push({ directory: path.join(nodeDirectory, 'include', 'node'), origin: 'npm_config_nodedir' });
  }
  const binaryDirectory = path.dirname(realpathSync(process.execPath));
  list.push({ directory: path.join(binaryDirectory, '..', 'include', 'node'), origin: 'this Node' });
  const here = path.dirname(fileURLToPath(import.meta.url));
  const headersPackage = resolvePackageDirectory('node-api-headers', here);
  if (headersPackage !== null) {
    list.push({ directory: path.join(headersPackage, 'include'), origin: 'node-api-headers' });
  }
  return list;
}
