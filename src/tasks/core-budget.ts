/**
 * A number of cores that trials share. Who asks first gets first: one that wants many waits at the head of the line until
 * there are enough, and nobody who wants fewer goes past, so nobody waits for ever.
 */

interface Waiting {
  readonly count: number;
  readonly go: () => void;
}

export class CoreBudget {
  readonly total: number;
  #free: number;
  readonly #line: Waiting[] = [];

  constructor(total: number) {
    this.total = total;
    this.#free = total;
  }

  get free(): number {
    return this.#free;
  }

  /**
   * Takes so many cores as soon as there are enough and everybody who asked before has theirs.
   *
   * @returns whether they were taken; not if the signal fires first
   */
  async acquire(count: number, signal: AbortSignal): Promise<boolean> {
    if (count > this.total) throw new RangeError(`${count} cores will never be free of ${this.total}`);
    if (signal.aborted) return false;
    return new Promise<boolean>(resolve => {
      const leave = (): void => {
        this.#line.splice(this.#line.indexOf(waiting), 1);
        resolve(false);
        // Whoever stood behind may want less.
        this.#serve();
      };
      const waiting: Waiting = {
        count,
        go: () => {
          signal.removeEventListener('abort', leave);
          resolve(true);
        },
      };
      signal.addEventListener('abort', leave, { once: true });
      this.#line.push(waiting);
      this.#serve();
    });
  }

  release(count: number): void {
    this.#free += count;
    this.#serve();
  }

  #serve(): void {
    for (let first = this.#line[0]; first !== undefined && first.count <= this.#free; first = this.#line[0]) {
      this.#line.shift();
      this.#free -= first.count;
      first.go();
    }
  }
}
