/**
 * The one error that the set-up throws on purpose. Its message says what was wrong and where; `remedy`, when there
 * is one, says in one sentence what the user can do about it. Everything else that is thrown is a bug or the
 * operating system speaking.
 */
export class SetupError extends Error {
  /**
   * @param {string} message what was wrong and where
   * @param {{ remedy?: string | undefined, cause?: unknown }} [details]
   */
  constructor(message, details = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'SetupError';
    /** @type {string | null} */
    this.remedy = details.remedy ?? null;
  }
}

/**
 * A message for a log line, whatever was thrown.
 * @param {unknown} error
 * @returns {string}
 */
export function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}
