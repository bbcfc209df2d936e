/** A queue of workers by the time at which they have something to decide: a binary heap; at equal times the lower worker first. */
export class TimeHeap {
  readonly #times: number[] = [];
  readonly #workers: number[] = [];

  push(time: number, worker: number): void {
    let child = this.#times.length;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (!this.#isBefore(time, worker, parent)) break;
      this.#move(parent, child);
      child = parent;
    }
    this.#times[child] = time;
    this.#workers[child] = worker;
  }

  pop(): { readonly time: number; readonly worker: number } | undefined {
    if (this.#times.length === 0) return undefined;
    const first = { time: this.#times[0]!, worker: this.#workers[0]! };
    const time = this.#times.pop()!;
    const worker = this.#workers.pop()!;
    if (this.#times.length > 0) this.#sink(time, worker);
    return first;
  }

  /** Puts an entry in the place of the first one, and then where it belongs. */
  #sink(time: number, worker: number): void {
    const { length } = this.#times;
    let parent = 0;
    for (;;) {
      let child = 2 * parent + 1;
      if (child >= length) break;
      if (child + 1 < length && this.#isBefore(this.#times[child + 1]!, this.#workers[child + 1]!, child))
        child++;
      if (this.#isBefore(time, worker, child)) break;
      this.#move(child, parent);
      parent = child;
    }
    this.#times[parent] = time;
    this.#workers[parent] = worker;
  }

  #isBefore(time: number, worker: number, index: number): boolean {
    const other = this.#times[index]!;
    return time < other || (time === other && worker < this.#workers[index]!);
  }

  #move(from: number, to: number): void {
    this.#times[to] = this.#times[from]!;
    this.#workers[to] = this.#workers[from]!;
  }
}
