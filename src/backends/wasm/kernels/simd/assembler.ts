/**
 * Assembles WebAssembly functions written in the flat text form (`local.get x`, `f32x4.add`, `loop row … end`) into a
 * module over an imported memory.
 *
 * Why an assembler of our own: the routines beside it are a hundred lines that must run on the very heap of tfjs's
 * backend. As text they can be read, reviewed and changed with the rest of the source, without a binary blob in the
 * repository or a compiler in the build. It knows only the instructions in the table below and refuses all others.
 * Encoding: https://webassembly.github.io/spec/core/binary/
 */

/** One exported function, which returns nothing. */
export interface Routine {
  readonly name: string;
  /** Of type i32: addresses and counts. */
  readonly parameters: readonly string[];
  /** Parameters of type f32, which follow the others. */
  readonly scalars?: readonly string[];
  readonly locals: {
    readonly i32?: readonly string[];
    readonly f32?: readonly string[];
    readonly v128?: readonly string[];
  };
  /** Instructions separated by white space; `;;` begins a comment that ends with the line. */
  readonly body: string;
}

type Immediate = 'none' | 'local' | 'i32' | 'f32' | 'label' | 'block' | 'memory' | 'memoryLane' | 'lanes';

const SIMD_PREFIX = 0xfd;

/** Opcode bytes (the SIMD ones after their prefix, as a LEB128 number) and what follows them. */
const INSTRUCTIONS: Readonly<Record<string, readonly [opcode: readonly number[], immediate: Immediate]>> = {
  block: [[0x02], 'block'],
  loop: [[0x03], 'block'],
  end: [[0x0b], 'none'],
  br: [[0x0c], 'label'],
  br_if: [[0x0d], 'label'],
  select: [[0x1b], 'none'],
  'local.get': [[0x20], 'local'],
  'local.set': [[0x21], 'local'],
  'local.tee': [[0x22], 'local'],
  'i32.load': [[0x28], 'memory'],
  'f32.load': [[0x2a], 'memory'],
  'f32.store': [[0x38], 'memory'],
  'i32.const': [[0x41], 'i32'],
  'f32.const': [[0x43], 'f32'],
  'i32.lt_s': [[0x48], 'none'],
  'i32.lt_u': [[0x49], 'none'],
  'i32.ge_s': [[0x4e], 'none'],
  'i32.ge_u': [[0x4f], 'none'],
  'i32.add': [[0x6a], 'none'],
  'i32.sub': [[0x6b], 'none'],
  'i32.mul': [[0x6c], 'none'],
  'i32.and': [[0x71], 'none'],
  'i32.shl': [[0x74], 'none'],
  'f32.add': [[0x92], 'none'],
  'f32.mul': [[0x94], 'none'],
  'v128.load': [[SIMD_PREFIX, 0x00], 'memory'],
  'v128.store': [[SIMD_PREFIX, 0x0b], 'memory'],
  'v128.load32_splat': [[SIMD_PREFIX, 0x09], 'memory'],
  'v128.load32_zero': [[SIMD_PREFIX, 0x5c], 'memory'],
  'v128.store32_lane': [[SIMD_PREFIX, 0x5a], 'memoryLane'],
  'v128.and': [[SIMD_PREFIX, 0x4e], 'none'],
  'v128.andnot': [[SIMD_PREFIX, 0x4f], 'none'],
  'v128.or': [[SIMD_PREFIX, 0x50], 'none'],
  'v128.bitselect': [[SIMD_PREFIX, 0x52], 'none'],
  'i8x16.shuffle': [[SIMD_PREFIX, 0x0d], 'lanes'],
  'f32x4.splat': [[SIMD_PREFIX, 0x13], 'none'],
  'i32x4.splat': [[SIMD_PREFIX, 0x11], 'none'],
  'f32x4.eq': [[SIMD_PREFIX, 0x41], 'none'],
  'f32x4.lt': [[SIMD_PREFIX, 0x43], 'none'],
  'f32x4.gt': [[SIMD_PREFIX, 0x44], 'none'],
  'f32x4.pmax': [[SIMD_PREFIX, 0xeb, 0x01], 'none'],
  'f32x4.nearest': [[SIMD_PREFIX, 0x6a], 'none'],
  'f32x4.abs': [[SIMD_PREFIX, 0xe0, 0x01], 'none'],
  'f32x4.sqrt': [[SIMD_PREFIX, 0xe3, 0x01], 'none'],
  'f32x4.add': [[SIMD_PREFIX, 0xe4, 0x01], 'none'],
  'f32x4.sub': [[SIMD_PREFIX, 0xe5, 0x01], 'none'],
  'f32x4.mul': [[SIMD_PREFIX, 0xe6, 0x01], 'none'],
  'f32x4.div': [[SIMD_PREFIX, 0xe7, 0x01], 'none'],
  'f32x4.min': [[SIMD_PREFIX, 0xe8, 0x01], 'none'],
  'f32x4.max': [[SIMD_PREFIX, 0xe9, 0x01], 'none'],
  'i32x4.shl': [[SIMD_PREFIX, 0xab, 0x01], 'none'],
  'i32x4.add': [[SIMD_PREFIX, 0xae, 0x01], 'none'],
  'i32x4.trunc_sat_f32x4_s': [[SIMD_PREFIX, 0xf8, 0x01], 'none'],
};

const VALUE_TYPES = { i32: 0x7f, f32: 0x7d, v128: 0x7b } as const;
/** The alignment is a hint only, so vectors too claim no more than what always holds: that of one float. */
const FOUR_BYTES_EXPONENT = 2;
const FUNCTION_TYPE = 0x60;
const EMPTY_BLOCK_TYPE = 0x40;
const SECTION = { type: 1, import: 2, function: 3, export: 7, code: 10 } as const;

function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let rest = value >>> 0;
  do {
    const low = rest & 0x7f;
    rest >>>= 7;
    bytes.push(rest === 0 ? low : low | 0x80);
  } while (rest !== 0);
  return bytes;
}

function signed(value: number): number[] {
  const bytes: number[] = [];
  let rest = value | 0;
  for (;;) {
    const low = rest & 0x7f;
    rest >>= 7;
    // Done when what is left is only the sign that bit 6 of this byte already shows.
    if ((rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)) return [...bytes, low];
    bytes.push(low | 0x80);
  }
}

const text = (value: string): number[] => {
  const bytes = new TextEncoder().encode(value);
  return [...unsigned(bytes.length), ...bytes];
};
const vector = (items: readonly number[][]): number[] => [...unsigned(items.length), ...items.flat()];
const section = (id: number, content: number[]): number[] => [id, ...unsigned(content.length), ...content];

/** Translates one body. Labels are the names after `block` and `loop`; a branch counts outward to its name. */
function assembleBody(routine: Routine): number[] {
  const { i32 = [], f32 = [], v128 = [] } = routine.locals;
  const localIndex = new Map(
    [...routine.parameters, ...(routine.scalars ?? []), ...i32, ...f32, ...v128].map((name, index) => [
      name,
      index,
    ]),
  );
  const labels: string[] = [];
  const tokens = routine.body
    .replace(/;;.*$/gm, '')
    .split(/\s+/)
    .filter(token => token !== '');
  let position = 0;

  const next = (): string => {
    const token = tokens[position++];
    if (token === undefined) throw new SyntaxError(`${routine.name}: the text ends within an instruction.`);
    return token;
  };
  const memory = (): number[] => {
    const offset =
      tokens[position]?.startsWith('offset=') === true ? Number(next().slice('offset='.length)) : 0;
    return [...unsigned(FOUR_BYTES_EXPONENT), ...unsigned(offset)];
  };
  const found = (index: number | undefined, kind: string, name: string): number => {
    if (index === undefined || index < 0) throw new SyntaxError(`${routine.name}: no ${kind} '${name}'.`);
    return index;
  };
  const immediate = (kind: Immediate): number[] => {
    switch (kind) {
      case 'none':
        return [];
      case 'local': {
        const name = next();
        return unsigned(found(localIndex.get(name), 'local', name));
      }
      case 'i32':
        return signed(Number(next()));
      case 'f32':
        return [...new Uint8Array(new Float32Array([Number(next())]).buffer)];
      case 'label': {
        const name = next();
        const depth = found(labels.lastIndexOf(name), 'label', name);
        return unsigned(labels.length - 1 - depth);
      }
      case 'block':
        labels.push(next());
        return [EMPTY_BLOCK_TYPE];
      case 'memory':
        return memory();
      case 'memoryLane':
        return [...memory(), Number(next())];
      case 'lanes':
        return Array.from({ length: 16 }, () => Number(next()));
    }
  };

  const code: number[] = [];
  while (position < tokens.length) {
    const name = next();
    const instruction = INSTRUCTIONS[name];
    if (instruction === undefined) throw new SyntaxError(`${routine.name}: unknown instruction '${name}'.`);
    const [opcode, kind] = instruction;
    code.push(...opcode, ...immediate(kind));
    if (name === 'end') labels.pop();
  }
  if (labels.length > 0) throw new SyntaxError(`${routine.name}: '${labels.at(-1)}' has no end.`);

  const groups = (['i32', 'f32', 'v128'] as const).map(type => [
    ...unsigned((routine.locals[type] ?? []).length),
    VALUE_TYPES[type],
  ]);
  const content = [...vector(groups), ...code, 0x0b];
  return [...unsigned(content.length), ...content];
}

/** The binary of a module that imports `env.memory` and exports every routine under its name. */
export function assembleModule(routines: readonly Routine[]): Uint8Array<ArrayBuffer> {
  const types = routines.map(({ parameters, scalars = [] }) => [
    FUNCTION_TYPE,
    ...vector([...parameters.map(() => [VALUE_TYPES.i32]), ...scalars.map(() => [VALUE_TYPES.f32])]),
    ...vector([]),
  ]);
  return new Uint8Array([
    ...[0x00, 0x61, 0x73, 0x6d],
    ...[0x01, 0x00, 0x00, 0x00],
    ...section(SECTION.type, vector(types)),
    // A memory without a declared maximum and of at least one page: any unshared memory fits.
    ...section(SECTION.import, vector([[...text('env'), ...text('memory'), 0x02, 0x00, 0x01]])),
    ...section(SECTION.function, vector(routines.map((_, index) => unsigned(index)))),
    ...section(
      SECTION.export,
      vector(routines.map((routine, index) => [...text(routine.name), 0x00, ...unsigned(index)])),
    ),
    ...section(SECTION.code, vector(routines.map(assembleBody))),
  ]);
}
