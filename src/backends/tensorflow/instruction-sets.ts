/** Sets of instructions that Millrace's own ops are compiled for, each with what those before it have; as in `src/kernels/instruction-sets.h`. */
import { ConfigurationError } from '../../errors.js';

export const INSTRUCTION_SETS = ['baseline', 'avx2', 'avx512'] as const;

export type InstructionSet = (typeof INSTRUCTION_SETS)[number];

/** The largest set that the ops may use; without it, the processor's. */
const INSTRUCTION_SET_VARIABLE = 'MILLRACE_INSTRUCTION_SET';

/**
 * The ops would pass over a name that they do not know in silence.
 *
 * @throws {ConfigurationError} where `MILLRACE_INSTRUCTION_SET` names none
 */
export function assertInstructionSetIsKnown(env: NodeJS.ProcessEnv = process.env): void {
  const wanted = env[INSTRUCTION_SET_VARIABLE] ?? '';
  if (wanted === '' || INSTRUCTION_SETS.some(name => name === wanted)) return;
  throw new ConfigurationError(
    INSTRUCTION_SET_VARIABLE,
    `${INSTRUCTION_SET_VARIABLE} is '${wanted}'. Set it to ${INSTRUCTION_SETS.join(', ')}, or not at all for what the processor has.`,
  );
}
