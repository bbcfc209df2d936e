/** Hands step reports from the run to the loop that calls the callbacks. Holds at most what is in flight. */
export class ReportQueue<Report> {
  readonly #reports: Report[] = [];
  #waiting: { resolve: (report: Report) => void; reject: (error: unknown) => void } | undefined;
  #failure: { readonly error: unknown } | undefined;

  push(report: Report): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) this.#reports.push(report);
    else waiting.resolve(report);
  }

  /** Whoever waits, or will wait, gets the error. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#waiting?.reject(error);
    this.#waiting = undefined;
  }

  /** Says that no further report comes. */
  close(): void {
    this.fail(new Error('The run has ended.'));
  }

  /** The oldest report, as soon as there is one. */
  next(): Promise<Report> {
    const report = this.take();
    if (report !== undefined) return Promise.resolve(report);
    if (this.#failure !== undefined) return Promise.reject(this.#failure.error);
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }

  /** The oldest report, if there is one. */
  take(): Report | undefined {
    return this.#reports.shift();
  }

  get isEmpty(): boolean {
    return this.#reports.length === 0;
  }
}
