/** A stream that keeps what is written to it, in the role of a terminal or of a file. */
import { Writable } from 'node:stream';

export class FakeStream extends Writable {
  readonly isTTY: boolean;
  /** Of the terminal, in characters. */
  readonly columns = 200;
  #written = '';

  constructor(isTTY: boolean) {
    super();
    this.isTTY = isTTY;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#written += chunk.toString();
    done();
  }

  /** Everything so far. */
  get written(): string {
    return this.#written;
  }

  /** What a reader of the terminal sees at last: of a line that was drawn again and again, its last state. */
  get lastDrawnLines(): string[] {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: a terminal is moved by them
    const redrawn = /\u001b\[1G/;
    // biome-ignore lint/suspicious/noControlCharactersInRegex: a terminal is moved by them
    const controlSequence = /\u001b(\[[0-9;?]*[A-Za-z]|[78])/g;
    return this.#written
      .split('\n')
      .slice(0, -1)
      .map(line => line.split(redrawn).at(-1)!.replace(controlSequence, '').trimEnd());
  }
}
