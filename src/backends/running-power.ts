/** tfjs's running power of a factor: multiplied in float32 step by step, taken as a power when training resumes. */
export class RunningPower {
  readonly #factor: number;
  value: number;

  constructor(factor: number) {
    this.#factor = Math.fround(factor);
    this.value = this.#factor;
  }

  advance(): void {
    this.value = Math.fround(this.value * this.#factor);
  }

  resume(iterations: number): void {
    this.value = Math.fround(this.#factor ** (iterations + 1));
  }
}
