/** Waiting that an AbortSignal can end. */

/**
 * What `task` gives, unless the signal fires first: then it rejects with the signal's reason, and the task goes on alone.
 *
 * @param onLate told what a task gives that nobody waits for any more
 */
export async function unlessAborted<T>(
  task: () => Promise<T>,
  signal: AbortSignal,
  onLate: (value: T) => void = () => {},
): Promise<T> {
  signal.throwIfAborted();
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    task()
      .then(value => (signal.aborted ? onLate(value) : resolve(value)), reject)
      .finally(() => signal.removeEventListener('abort', onAbort));
  });
}
