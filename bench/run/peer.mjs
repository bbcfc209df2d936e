// @ts-check
/** The parent's end of a benchmarked process: one JSON line out, one back. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { MARK } from '../peers/serve.mjs';

/** Longest answer: the first call also starts workers and warms up, and a step of plain wasm takes seconds. */
const ANSWER_TIMEOUT_MS = 300_000;
const LAST_LINES = 12;

export class Peer {
  #child;
  /** @type {((line: string) => void) | undefined} */
  #onAnswer;
  /** What the process printed last, to explain its death. */
  /** @type {string[]} */
  #printed = [];
  #exited;

  /**
   * @param {string} command
   * @param {readonly string[]} args
   * @param {Record<string, string>} env added to this process's own
   */
  constructor(command, args, env) {
    this.#child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] });
    this.#exited = new Promise(resolve => {
      this.#child.once('error', error => resolve(error.message));
      this.#child.once('exit', (code, signal) => resolve(`exit ${code ?? signal}`));
    });
    createInterface({ input: this.#child.stdout }).on('line', line => {
      if (line.startsWith(MARK)) this.#onAnswer?.(line.slice(MARK.length));
      else this.#note(line);
    });
    createInterface({ input: this.#child.stderr }).on('line', line => this.#note(line));
  }

  /** @param {string} line */
  #note(line) {
    this.#printed = [...this.#printed, line].slice(-LAST_LINES);
  }

  /**
   * Sends a command and waits for its answer.
   * @param {string} command
   * @param {object} [request]
   * @returns {Promise<any>}
   */
  async ask(command, request = {}) {
    /** @type {Promise<string>} */
    const answer = new Promise(resolve => {
      this.#onAnswer = resolve;
    });
    this.#child.stdin.write(`${JSON.stringify({ command, ...request })}\n`);
    /** @type {NodeJS.Timeout | undefined} */
    let timer;
    const late = new Promise(resolve => {
      timer = setTimeout(() => resolve(undefined), ANSWER_TIMEOUT_MS);
    });
    const line = await Promise.race([answer, late, this.#exited.then(why => ({ why }))]);
    clearTimeout(timer);
    if (typeof line !== 'string') {
      const why = line === undefined ? 'did not answer' : `ended (${/** @type {any} */ (line).why})`;
      throw new Error(`'${command}' ${why}:\n${this.#printed.join('\n')}`);
    }
    const reply = JSON.parse(line);
    if (reply.error !== undefined) throw new Error(reply.error);
    return reply;
  }

  /** Lets the process end by itself, then makes it. */
  async end() {
    this.#child.stdin.end();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 5_000);
    await this.#exited;
    clearTimeout(timer);
  }
}
