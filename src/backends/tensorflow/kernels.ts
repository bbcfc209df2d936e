/**
 * Ops of Millrace's own in TensorFlow, from `src/kernels`: each goes once over what takes TensorFlow's ops a pass each, and they stand
 * in graphs like all others.
 *
 * The set-up compiles them where it finds a C++ compiler. Without them the same functions are made of TensorFlow's ops.
 */
import { existsSync } from 'node:fs';
import { ConfigurationError } from '../../errors.js';
import { locateKernels } from '../../setup/index.js';
import { tf } from '../../tf.js';
import { isFusionOn } from '../fusion.js';
import { rawOps } from './raw-ops.js';

/** Set to 0 to train without them. */
const KERNELS_VARIABLE = 'MILLRACE_KERNELS';

/** The largest set of instructions that they may use, of those they are compiled for; without it, the processor's. */
const INSTRUCTION_SET_VARIABLE = 'MILLRACE_INSTRUCTION_SET';

/** Each has what those before it have. The order is that of `src/kernels/instruction-sets.h`. */
const INSTRUCTION_SETS = ['baseline', 'avx2', 'avx512'] as const;

export type InstructionSet = (typeof INSTRUCTION_SETS)[number];

const areWanted = (): boolean => isFusionOn() && process.env[KERNELS_VARIABLE] !== '0';

let areLoaded = false;

export function hasKernels(): boolean {
  return areLoaded && process.env[KERNELS_VARIABLE] !== '0';
}

/** Of an instruction set that the ops do not know they would make none, in silence. */
function assertInstructionSetIsKnown(): void {
  const wanted = process.env[INSTRUCTION_SET_VARIABLE] ?? '';
  if (wanted === '' || INSTRUCTION_SETS.some(name => name === wanted)) return;
  throw new ConfigurationError(
    INSTRUCTION_SET_VARIABLE,
    `${INSTRUCTION_SET_VARIABLE} is '${wanted}'. Set it to ${INSTRUCTION_SETS.join(', ')}, or not at all for what the processor has.`,
  );
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
