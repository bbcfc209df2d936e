/**
 * A headless Chromium, driven over the DevTools protocol through a pipe: no package, no port.
 * https://chromedevtools.github.io/devtools-protocol
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'];
/** How long a call may take before the browser counts as hung. */
const CALL_TIMEOUT_MS = 30_000;

/** The command to start, from `$CHROMIUM` or the usual names. Throws with what to do where there is none. */
export function findChromium(env: NodeJS.ProcessEnv = process.env): string {
  const candidates = env['CHROMIUM'] ? [env['CHROMIUM']] : NAMES;
  for (const command of candidates) {
    if (spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0) return command;
  }
  throw new Error(
    `No Chromium was found (tried ${candidates.join(', ')}). Install one, for example with 'apt-get install chromium', or set ` +
      'CHROMIUM to the path of its executable.',
  );
}

export interface PageOptions {
  readonly width: number;
  readonly height: number;
  readonly colourScheme?: 'light' | 'dark';
}

type Params = Readonly<Record<string, unknown>>;

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly sessionId?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
}

export class Chromium {
  readonly #child: ChildProcess;
  readonly #profile: string;
  readonly #pending = new Map<number, (message: Message) => void>();
  readonly #listeners = new Set<(message: Message) => void>();
  #nextId = 1;

  private constructor(child: ChildProcess, profile: string) {
    this.#child = child;
    this.#profile = profile;
    let rest = '';
    const answers = child.stdio[4] as Readable;
    answers.setEncoding('utf8');
    answers.on('data', (chunk: string) => {
      const messages = (rest + chunk).split('\0');
      rest = messages.pop()!;
      for (const text of messages) this.#take(JSON.parse(text) as Message);
    });
  }

  static start(): Chromium {
    const profile = mkdtempSync(join(tmpdir(), 'millrace-chromium-'));
    const child = spawn(
      findChromium(),
      [
        '--headless',
        '--remote-debugging-pipe',
        `--user-data-dir=${profile}`,
        '--no-first-run',
        '--disable-gpu',
        '--hide-scrollbars',
        // Root, as in a container, cannot have the sandbox; what is opened are pages that this test has written.
        ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
      ],
      { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] },
    );
    return new Chromium(child, profile);
  }

  async call(method: string, params: Params = {}, sessionId?: string): Promise<Record<string, unknown>> {
    const id = this.#nextId++;
    const answer = new Promise<Message>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${method} got no answer`)), CALL_TIMEOUT_MS);
      this.#pending.set(id, message => {
        clearTimeout(timer);
        resolve(message);
      });
    });
    const message = { id, method, params, ...(sessionId !== undefined && { sessionId }) };
    (this.#child.stdio[3] as Writable).write(`${JSON.stringify(message)}\0`);
    const { result, error } = await answer;
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result!;
  }

  async open(url: string, { width, height, colourScheme = 'light' }: PageOptions): Promise<BrowserPage> {
    const { targetId } = await this.call('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await this.call('Target.attachToTarget', { targetId, flatten: true });
    const page = new BrowserPage(this, sessionId as string, targetId as string);
    this.#listeners.add(page.hear);
    for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await page.call(`${domain}.enable`);
    await page.call('Emulation.setDeviceMetricsOverride', {
      width,
      height,
      deviceScaleFactor: 1,
      mobile: false,
    });
    await page.call('Emulation.setEmulatedMedia', {
      features: [{ name: 'prefers-color-scheme', value: colourScheme }],
    });
    await page.load(url);
    return page;
  }

  async close(): Promise<void> {
    const exited = new Promise(resolve => this.#child.once('exit', resolve));
    await this.call('Browser.close').catch(() => this.#child.kill('SIGKILL'));
    await exited;
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 3 });
  }

  #take(message: Message): void {
    if (message.id === undefined) for (const listener of this.#listeners) listener(message);
    else {
      this.#pending.get(message.id)?.(message);
      this.#pending.delete(message.id);
    }
  }
}

export class BrowserPage {
  /** What the page logged as an error or threw, and what it asked the network for beside itself. */
  readonly problems: string[] = [];
  readonly #browser: Chromium;
  readonly #session: string;
  readonly #target: string;
  #onLoad: (() => void) | undefined;

  constructor(browser: Chromium, session: string, target: string) {
    this.#browser = browser;
    this.#session = session;
    this.#target = target;
  }

  readonly hear = ({ method, sessionId, params }: Message): void => {
    if (sessionId !== this.#session) return;
    const told = JSON.stringify(params);
    if (method === 'Page.loadEventFired') this.#onLoad?.();
    if (method === 'Runtime.exceptionThrown') this.problems.push(`threw: ${told}`);
    if (method === 'Runtime.consoleAPICalled' && params!['type'] !== 'log')
      this.problems.push(`console: ${told}`);
    if (method === 'Log.entryAdded') this.problems.push(`log: ${told}`);
    if (method === 'Network.requestWillBeSent' && params!['type'] !== 'Document') {
      const { url } = params!['request'] as { url: string };
      if (!url.startsWith('data:')) this.problems.push(`fetched ${url}`);
    }
  };

  call(method: string, params?: Params): Promise<Record<string, unknown>> {
    return this.#browser.call(method, params, this.#session);
  }

  async load(url: string): Promise<void> {
    const loaded = new Promise<void>(resolve => {
      this.#onLoad = resolve;
    });
    await this.call('Page.navigate', { url });
    await loaded;
  }

  /** Evaluates an expression, and waits for it if it is a promise. The value must be JSON. */
  async evaluate<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = await this.call('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return (result as { value: T }).value;
  }

  /** Waits until an expression is true, looking once a frame. */
  async waitFor(expression: string): Promise<void> {
    await this.evaluate(`new Promise((resolve, reject) => {
      const end = performance.now() + 20000;
      const look = () => {
        if (${expression}) resolve(true);
        else if (performance.now() > end) reject(new Error('never true: ' + ${JSON.stringify(expression)}));
        else requestAnimationFrame(look);
      };
      look();
    })`);
  }

  async moveTo(x: number, y: number): Promise<void> {
    await this.call('Input.dispatchMouseEvent', { type: 'mouseMoved', x, y });
  }

  /** @param modifiers 2 is Ctrl, 8 is Shift */
  async wheel(x: number, y: number, deltaY: number, modifiers = 0): Promise<void> {
    await this.call('Input.dispatchMouseEvent', { type: 'mouseWheel', x, y, deltaX: 0, deltaY, modifiers });
  }

  async press(key: string): Promise<void> {
    for (const type of ['keyDown', 'keyUp']) await this.call('Input.dispatchKeyEvent', { type, key });
  }

  /** The whole page as a PNG, as high as it is. */
  async screenshot(): Promise<Buffer> {
    const { data } = await this.call('Page.captureScreenshot', {
      format: 'png',
      captureBeyondViewport: true,
    });
    return Buffer.from(data as string, 'base64');
  }

  async close(): Promise<void> {
    await this.#browser.call('Target.closeTarget', { targetId: this.#target });
  }
}
