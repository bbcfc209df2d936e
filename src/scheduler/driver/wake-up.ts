/** What the driver sleeps on: the workers' bell, or news of its own thread, which need no way through shared memory. */
import type { ControlBlock } from '../../transport/index.js';

export class WakeUp {
  readonly #control: ControlBlock;
  /** One wait at a time: what was begun for an earlier sleep serves the next one as well. */
  #bell: Promise<unknown> | undefined;
  #isNotified = false;
  #endSleep: () => void = () => {};

  constructor(control: ControlBlock) {
    this.#control = control;
  }

  /** Ends the present sleep, or the next one. */
  notify(): void {
    this.#isNotified = true;
    this.#endSleep();
  }

  /** Sleeps until `notify`, a ring since `bell`, or the timeout, if not that of an earlier sleep: it is a net, as in `nextBell`. */
  async sleep(bell: number, timeoutMs: number): Promise<void> {
    this.#bell ??= this.#control.nextBell(bell, timeoutMs).finally(() => {
      this.#bell = undefined;
    });
    if (!this.#isNotified) {
      const notified = new Promise<void>(resolve => {
        this.#endSleep = resolve;
      });
      await Promise.race([this.#bell, notified]);
    }
    this.#isNotified = false;
  }
}
