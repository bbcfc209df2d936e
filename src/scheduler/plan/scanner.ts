/** Reads one line of text from left to right; what it does not find becomes an error with line and column. */
import { ScheduleSyntaxError } from './errors.js';

export class Scanner {
  readonly #text: string;
  readonly #line: number;
  #position = 0;

  constructor(text: string, line = 1) {
    this.#text = text;
    this.#line = line;
  }

  get blank(): boolean {
    return this.#text.trim() === '';
  }

  /** Column of the next character, counted from 1. */
  get column(): number {
    return this.#position + 1;
  }

  /** Whether nothing but spaces is left. */
  get done(): boolean {
    return this.#text.slice(this.#position).trim() === '';
  }

  fail(expected: string, column = this.column): never {
    const found = this.#text.slice(column - 1).match(/^\S+/)?.[0];
    throw new ScheduleSyntaxError(this.#line, column, expected, found);
  }

  /** Takes what a sticky pattern finds here. */
  match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#position;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#position += found.length;
    return found;
  }

  literal(text: string): void {
    if (this.optional(text) === undefined) this.fail(`'${text}'`);
  }

  optional<Text extends string>(text: Text): Text | undefined {
    if (!this.#text.startsWith(text, this.#position)) return undefined;
    this.#position += text.length;
    return text;
  }

  oneOf(letters: string, expected: string): string {
    const letter = this.#text[this.#position];
    if (letter === undefined || !letters.includes(letter)) return this.fail(expected);
    this.#position++;
    return letter;
  }

  number(expected: string): number {
    const column = this.column;
    const value = Number(this.match(/\d+/y) ?? this.fail(expected));
    return Number.isSafeInteger(value)
      ? value
      : this.fail(`${expected}, at most ${Number.MAX_SAFE_INTEGER}`, column);
  }

  skipSpaces(): void {
    this.match(/\s*/y);
  }

  space(): void {
    if (this.match(/\s+/y) === undefined) this.fail('a space');
  }

  end(expected: string): void {
    this.skipSpaces();
    if (!this.done) this.fail(expected);
  }
}
