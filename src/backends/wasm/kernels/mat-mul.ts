/**
 * Products of two matrices on the heap, either of them stored the right way round or transposed.
 *
 * The scheme is that of Goto & van de Geijn (Anatomy of high-performance matrix multiplication, 2008): a block of the left
 * matrix is packed into strips of 4 rows and stays in the second-level cache; panels of 8 columns of the right one are packed
 * one at a time and stay in the first-level cache while all strips pass by.
 *
 * XNNPACK's own product is as good while its right operand stays the same, since it keeps it packed. In training it
 * never does, a weight least of all, and XNNPACK packs at 7 ns a number and knows no transposed operands.
 * `batch-mat-mul.ts` has the measurements.
 */
import {
  addressOf,
  allocate,
  heapFloats,
  release,
  routines,
  type TensorInfo,
  type WasmBackend,
} from './heap.js';
import { TILE_COLUMNS, TILE_ROWS } from './simd/multiply-panel.js';
import type { Routines } from './simd/routines.js';

const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT;
/** A packed block of the left matrix has 512 KiB, a packed panel of the right one 16 KiB. */
const BLOCK_ROWS = 256;
const BLOCK_DEPTH = 512;

/** A matrix as it is stored: `lines` apart by `step` bytes, each with adjacent numbers. */
export interface StoredMatrix {
  readonly address: number;
  readonly step: number;
  /** Whether the lines are columns of the operand. */
  readonly transposed: boolean;
}

export interface ProductSize {
  readonly m: number;
  readonly k: number;
  readonly n: number;
}

/** Where the product goes: rows `step` bytes apart. It must not overlap the operands. */
export interface Target {
  readonly address: number;
  readonly step: number;
  /** Adds to what is there already. */
  readonly isSum: boolean;
}

/** Memory for packed operands, for any number of products up to a size. The heap may grow when it is made, not later. */
export class MatrixMultiplier {
  readonly #backend: WasmBackend;
  readonly #routines: Routines;
  readonly #scratch: TensorInfo;
  readonly #block: number;
  readonly #panel: number;
  /** Results of tiles that reach over the edge of the product. */
  readonly #edge: number;

  constructor(backend: WasmBackend, { m, k }: Pick<ProductSize, 'm' | 'k'>) {
    this.#backend = backend;
    this.#routines = routines(backend);
    const depth = Math.min(k, BLOCK_DEPTH);
    const rows = Math.ceil(Math.min(m, BLOCK_ROWS) / TILE_ROWS) * TILE_ROWS;
    this.#scratch = allocate(backend, [rows * depth + (depth + rows) * TILE_COLUMNS]);
    this.#block = addressOf(backend, this.#scratch);
    this.#panel = this.#block + rows * depth * FLOAT_BYTES;
    this.#edge = this.#panel + depth * TILE_COLUMNS * FLOAT_BYTES;
  }

  dispose(): void {
    release(this.#backend, this.#scratch);
  }

  /** `a` is m × k and `b` k × n, all at least 1. */
  multiply(a: StoredMatrix, b: StoredMatrix, target: Target, { m, k, n }: ProductSize): void {
    const heap = heapFloats(this.#backend);
    for (let row = 0; row < m; row += BLOCK_ROWS) {
      const rows = Math.min(BLOCK_ROWS, m - row);
      for (let inner = 0; inner < k; inner += BLOCK_DEPTH) {
        const depth = Math.min(BLOCK_DEPTH, k - inner);
        this.#packBlock(a, row, inner, rows, depth);
        const isSum = target.isSum || inner > 0;
        for (let column = 0; column < n; column += TILE_COLUMNS) {
          const columns = Math.min(TILE_COLUMNS, n - column);
          this.#pack(b, !b.transposed, [column, columns, TILE_COLUMNS], [inner, depth], this.#panel);
          const address = target.address + row * target.step + column * FLOAT_BYTES;
          this.#multiplyPanel(heap, { address, step: target.step, isSum }, rows, depth, columns);
        }
      }
    }
  }

  #packBlock(a: StoredMatrix, row: number, inner: number, rows: number, depth: number): void {
    for (let strip = 0; strip < rows; strip += TILE_ROWS) {
      const lines = [row + strip, Math.min(TILE_ROWS, rows - strip), TILE_ROWS] as const;
      this.#pack(a, a.transposed, lines, [inner, depth], this.#block + strip * depth * FLOAT_BYTES);
    }
  }

  /**
   * Packs `count` rows of the left operand, or columns of the right one, as [depth][width]. Lanes without a number keep what
   * they hold: they only reach results that are dropped.
   *
   * @param isAcross whether what is packed lies across the stored lines
   */
  #pack(
    { address, step }: StoredMatrix,
    isAcross: boolean,
    [first, count, width]: readonly [number, number, number],
    [inner, depth]: readonly [number, number],
    packed: number,
  ): void {
    const { copyRows, transpose } = this.#routines;
    const packedStep = width * FLOAT_BYTES;
    if (isAcross) {
      copyRows(address + inner * step + first * FLOAT_BYTES, packed, depth, count, step, packedStep);
    } else {
      transpose(address + first * step + inner * FLOAT_BYTES, packed, count, depth, step, packedStep);
    }
  }

  #multiplyPanel(heap: Float32Array, target: Target, rows: number, depth: number, columns: number): void {
    const { multiplyPanel } = this.#routines;
    const { address, step, isSum } = target;
    const whole = columns === TILE_COLUMNS ? Math.floor(rows / TILE_ROWS) : 0;
    if (whole > 0) multiplyPanel(this.#block, this.#panel, address, step, whole, depth, isSum ? 1 : 0);
    const rest = rows - whole * TILE_ROWS;
    if (rest === 0) return;
    const strips = this.#block + whole * TILE_ROWS * depth * FLOAT_BYTES;
    const edgeStep = TILE_COLUMNS * FLOAT_BYTES;
    multiplyPanel(strips, this.#panel, this.#edge, edgeStep, Math.ceil(rest / TILE_ROWS), depth, 0);
    for (let row = 0; row < rest; row++) {
      const from = this.#edge / FLOAT_BYTES + row * TILE_COLUMNS;
      const to = (address + (whole * TILE_ROWS + row) * step) / FLOAT_BYTES;
      for (let column = 0; column < columns; column++) {
        heap[to + column] = heap[from + column]! + (isSum ? heap[to + column]! : 0);
      }
    }
  }
}
