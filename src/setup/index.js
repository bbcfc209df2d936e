/**
 * The set-up's front door. `scripts/run.mjs` uses it before anything is built, the `millrace` command and the runtime
 * afterwards; so it and all it imports are plain JavaScript on Node's built-in modules.
 */
export { ensureKernels } from './ensure-kernels.js';
export { ensureNativeTensorflow, remediesOf } from './ensure-native.js';
export { SetupError } from './errors.js';
export { BACKEND_NAMES, BACKEND_VARIABLE, forcedBackend } from './forced-backend.js';
export { readKernelsReport } from './kernels-report.js';
export { assertOneTensorflowBuild, loadedTensorflowLibraries } from './loaded-libraries.js';
export { findProjectDirectory, locateAddon, locateKernels, locateTfjsNode } from './locate.js';
export { cacheDirectory, isSupportedNode, OLDEST_NODE } from './machine.js';
export { provideRemovedNodeUtilities } from './node-compat.js';
export { readSetupReport, setupReportPath } from './report.js';
