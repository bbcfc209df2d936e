/** A shelf with so many places, on which what was used longest ago makes room. */
class LeastRecentlyUsed<T extends { dispose(): void }> {
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

/** One shelf for each backend object. */
export function shelfByBackend<T extends { dispose(): void }>(
  most: number,
): (backend: object) => LeastRecentlyUsed<T> {
  const shelves = new WeakMap<object, LeastRecentlyUsed<T>>();
  return backend => {
    const shelf = shelves.get(backend) ?? new LeastRecentlyUsed<T>(most);
    shelves.set(backend, shelf);
    return shelf;
  };
}
