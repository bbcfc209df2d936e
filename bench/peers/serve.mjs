// @ts-check
/**
 * A benchmarked system in a process of its own: it answers one JSON line on standard input with one on standard output.
 * Whatever else its libraries print lacks the mark and goes nowhere.
 */
import { createInterface } from 'node:readline';

export const MARK = '@@';

/**
 * Serves until standard input ends.
 * @param {Record<string, (request: any) => Promise<object>>} handlers by command
 */
export async function serve(handlers) {
  for await (const line of createInterface({ input: process.stdin })) {
    const { command, ...request } = JSON.parse(line);
    let reply;
    try {
      const handler = handlers[command];
      if (handler === undefined) throw new Error(`no command '${command}'`);
      reply = await handler(request);
    } catch (error) {
      reply = { error: error instanceof Error ? error.message : String(error) };
    }
    process.stdout.write(`${MARK}${JSON.stringify(reply)}\n`);
  }
}
