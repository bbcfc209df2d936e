/**
 * Ops of Millrace's own in TensorFlow, from `src/kernels`: each goes once over what takes TensorFlow's ops a pass each, and they stand
 * in graphs like all others.
 *
 * The set-up compiles them where it finds a C++ compiler. Without them the same functions are made of TensorFlow's ops.
 */
import { existsSync } from 'node:fs';
import { locateKernels } from '../../setup/index.js';
import { tf } from '../../tf.js';
import { isFusionOn } from '../fusion.js';
import { assertInstructionSetIsKnown, INSTRUCTION_SETS, type InstructionSet } from './instruction-sets.js';
import { rawOps } from './raw-ops.js';

/** Set to 0 to train without them. */
const KERNELS_VARIABLE = 'MILLRACE_KERNELS';

const areWanted = (): boolean => isFusionOn() && process.env[KERNELS_VARIABLE] !== '0';

let areLoaded = false;

export function hasKernels(): boolean {
  return areLoaded && process.env[KERNELS_VARIABLE] !== '0';
}

/** The instruction set that they run on. Only where there are ops. */
export function instructionSet(): InstructionSet {
  return tf.tidy(() => INSTRUCTION_SETS[rawOps().one('MillraceInstructionSet', []).dataSync()[0]!]!);
}

/**
 * Adds them, if they are there and wanted, to the process's TensorFlow, whose addon must be loaded. Once is enough for all threads.
 *
 * @throws {ConfigurationError} where `MILLRACE_INSTRUCTION_SET` names none
 */
export function openKernels(): void {
  assertInstructionSetIsKnown();
  const file = areWanted() ? locateKernels() : null;
  if (file === null || !existsSync(file)) return;
  try {
    process.dlopen({ exports: {} }, file);
  } catch {
    // Made for another TensorFlow or system: `npx millrace setup` finds that out, and nobody finds the ops until then.
  }
}

/** Makes them known to the calling thread, whose tfjs runs on the TensorFlow backend. */
export function loadKernels(): void {
  if (areLoaded || !areWanted()) return;
  areLoaded = tf.tidy(compute);
  if (areLoaded) return;
  // Nobody has prepared the addon in this process's main thread.
  openKernels();
  areLoaded = tf.tidy(compute);
}

/** Whether TensorFlow has the ops, and they are right. */
function compute(): boolean {
  try {
    const inputs = [tf.tensor2d([[0.25, 0.75]]), tf.tensor2d([[1, 3]])];
    const [gradient] = rawOps().many('MillraceSoftmaxGradient', [], inputs, 1);
    const [first, second] = gradient!.dataSync<'float32'>();
    return first === -0.375 && second === 0.375;
  } catch {
    return false;
  }
}
