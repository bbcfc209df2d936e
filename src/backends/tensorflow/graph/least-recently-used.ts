/** A shelf with so many places, on which what was used longest ago makes room. */
export class LeastRecentlyUsed<T extends { dispose(): void }> {
  readonly #most: number;
  /** Last used last. */
  readonly #entries = new Map<string, T>();

  constructor(most: number) {
    this.#most = most;
  }

  get(key: string, make: () => T): T {
    const entry = this.#entries.get(key) ?? make();
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    if (this.#entries.size > this.#most) {
      const [oldest, unused] = this.#entries.entries().next().value!;
      this.#entries.delete(oldest);
      unused.dispose();
    }
    return entry;
  }
}
