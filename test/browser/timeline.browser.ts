/**
 * The timeline's page in a real Chromium: that it draws what it was given, answers pointer, wheel and keyboard, asks the network
 * for nothing and complains about nothing. Screenshots go to test/browser/screenshots, which git ignores.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Timeline } from '#internal/report/timeline/index.js';
import { madeUpTimeline } from '../report/timeline/support.js';
import { type BrowserPage, Chromium, type PageOptions } from './chromium.js';

const SCREENSHOTS = fileURLToPath(new URL('screenshots/', import.meta.url));
const VIEW = { width: 1280, height: 900 };
const CTRL = 2;

let browser: Chromium;
let directory: string;
beforeAll(() => {
  browser = Chromium.start();
  directory = mkdtempSync(join(tmpdir(), 'millrace-page-'));
  mkdirSync(SCREENSHOTS, { recursive: true });
});
afterAll(async () => {
  await browser?.close();
  rmSync(directory, { recursive: true });
});

async function open(name: string, timeline: Timeline, options: PageOptions = VIEW): Promise<BrowserPage> {
  const file = join(directory, `${name}.html`);
  await timeline.save(file);
  const page = await browser.open(pathToFileURL(file).href, options);
  await page.waitFor("document.body?.dataset.ready === 'true'");
  await drawn(page);
  return page;
}

/** Lanes are drawn in the next frame. */
function drawn(page: BrowserPage): Promise<unknown> {
  return page.evaluate(
    'new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))',
  );
}

async function shoot(page: BrowserPage, name: string): Promise<void> {
  writeFileSync(join(SCREENSHOTS, `${name}.png`), await page.screenshot());
}

const count = (page: BrowserPage, selector: string): Promise<number> =>
  page.evaluate(`document.querySelectorAll(${JSON.stringify(selector)}).length`);

const text = (page: BrowserPage, selector: string): Promise<string> =>
  page.evaluate(`document.querySelector(${JSON.stringify(selector)}).innerText`);

/** How many pixels of each lane of a canvas have a colour of the page, give or take the rounding of colours. */
function inked(page: BrowserPage, canvas: string, lanes: number, colour: string): Promise<number[]> {
  return page.evaluate(`(() => {
    const canvas = document.querySelector('${canvas}');
    // A copy: reading the page's own canvas makes the browser warn.
    const copy = new OffscreenCanvas(canvas.width, canvas.height + 1).getContext('2d', { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    copy.fillStyle = getComputedStyle(document.documentElement).getPropertyValue('${colour}').trim();
    copy.fillRect(0, canvas.height, 1, 1);
    const wanted = copy.getImageData(0, canvas.height, 1, 1).data;
    const axis = 22;
    const height = (canvas.height - axis) / ${lanes};
    return Array.from({ length: ${lanes} }, (_, lane) => {
      const top = Math.round(axis + lane * height);
      const { data } = copy.getImageData(0, top, canvas.width, Math.floor(height));
      let found = 0;
      for (let at = 0; at < data.length; at += 4) {
        if ([0, 1, 2].every(part => Math.abs(data[at + part] - wanted[part]) < 4)) found++;
      }
      return found;
    });
  })()`);
}

/** A point in a lane of a canvas on the screen; across from 0 to 1. */
async function place(page: BrowserPage, canvas: string, across: number, lane: number, lanes: number) {
  return page.evaluate<{ x: number; y: number }>(`(() => {
    const canvas = document.querySelector('${canvas}');
    canvas.scrollIntoView({ block: 'center' });
    const box = canvas.getBoundingClientRect();
    const height = (box.height - 22) / ${lanes};
    return { x: box.left + box.width * ${across}, y: box.top + 22 + (${lane} + 0.5) * height };
  })()`);
}

describe.each([
  { workers: 2, microBatchCount: 4, schedule: 'zero-bubble' },
  { workers: 64, microBatchCount: 16, schedule: '1f1b' },
])('a timeline of $workers stages', ({ workers, microBatchCount, schedule }) => {
  let page: BrowserPage;
  beforeAll(async () => {
    const made = { stageCount: workers, microBatchCount, schedule, noise: 0.4, stepCount: 12 };
    page = await open(`stages-${workers}`, madeUpTimeline(made));
    await shoot(page, `stages-${workers}`);
  });
  afterAll(() => page?.close());

  it('has a row for every worker in both schedules, in the activations and in the table', async () => {
    for (const part of ['#measured', '#predicted', '#memory']) {
      expect(await count(page, `${part} [data-worker]`), part).toBe(workers);
    }
    expect(await count(page, '#workers tbody tr')).toBe(workers);
    expect(await count(page, '#stages tbody tr')).toBe(workers);
    expect(await count(page, '#workers .bar.measured')).toBe(workers);
    expect(await count(page, '#workers .bar.predicted')).toBe(workers);
  });

  it('draws forward, backward and weight gradients in every lane, and what is kept', async () => {
    for (const canvas of ['#measured-canvas', '#predicted-canvas']) {
      for (const colour of ['--forward', '--backward', '--weights']) {
        const lanes = await inked(page, canvas, workers, colour);
        expect(Math.min(...lanes), `${canvas} ${colour}`).toBeGreaterThan(0);
      }
    }
    const lanes = await inked(page, '#memory-canvas', workers, '--memory');
    expect(Math.min(...lanes)).toBeGreaterThan(0);
  });

  it('tells of the action under the pointer, and stops when the pointer leaves', async () => {
    // A step begins with the forwards of worker 0.
    const { x, y } = await place(page, '#predicted-canvas', 0.06, 0, workers);
    await page.moveTo(x, y);
    await page.waitFor("!document.querySelector('#tooltip').hidden");
    const tip = await text(page, '#tooltip');
    expect(tip).toMatch(/forward, micro-batch \d/);
    expect(tip).toMatch(/took\s+[\d.]+ ms\s+measured, median\s+[\d.]+ ms/);
    expect(tip).toMatch(/stage\s+0: dense_0, dense_1/);
    await page.moveTo(2, 2);
    await page.waitFor("document.querySelector('#tooltip').hidden");
  });

  it('goes from action to action by the keyboard', async () => {
    await page.evaluate("document.querySelector('#measured-canvas').focus()");
    await page.press('Home');
    await page.waitFor("!document.querySelector('#tooltip').hidden");
    const first = await text(page, '#tooltip');
    await page.press('ArrowRight');
    await page.press('ArrowRight');
    const third = await text(page, '#tooltip');
    expect(third).not.toBe(first);
    await page.press('ArrowDown');
    expect(await text(page, '#tooltip')).toMatch(/worker\s+1/);
    await page.press('Escape');
    await page.waitFor("document.querySelector('#tooltip').hidden");
  });

  it('zooms where the pointer is with Ctrl and wheel, and not with the wheel alone', async () => {
    await drawn(page);
    const before = await inked(page, '#measured-canvas', workers, '--forward');
    const { x, y } = await place(page, '#measured-canvas', 0.1, 0, workers);
    await page.wheel(x, y, 60);
    await drawn(page);
    await page.moveTo(2, 2);
    await drawn(page);
    expect(await inked(page, '#measured-canvas', workers, '--forward')).toEqual(before);
    const moved = await place(page, '#measured-canvas', 0.1, 0, workers);
    await page.wheel(moved.x, moved.y, -800, CTRL);
    await drawn(page);
    const nearer = await inked(page, '#measured-canvas', workers, '--forward');
    expect(nearer[0]).toBeGreaterThan(before[0]!);
    await page.moveTo(2, 2);
    await page.evaluate("document.querySelector('#measured-canvas').focus()");
    await page.press('0');
    await drawn(page);
    expect(await inked(page, '#measured-canvas', workers, '--forward')).toEqual(before);
  });

  it('looks at another step when asked to', async () => {
    const before = await text(page, '.toolbar output');
    await page.evaluate(`(() => {
      const slider = document.querySelector('#step');
      slider.value = '9';
      slider.dispatchEvent(new Event('input'));
    })()`);
    expect(await text(page, '.toolbar output')).toMatch(/^step 109 · epoch 1, mini-batch 10/);
    expect(before).not.toMatch(/step 109/);
    expect(await text(page, '#measured h3')).toContain('step 109');
    await page.evaluate(
      "document.querySelectorAll('#loss circle')[3].dispatchEvent(new MouseEvent('click'))",
    );
    expect(await text(page, '.toolbar output')).toMatch(/^step 103/);
  });

  it('says how far the steps were from the prediction', async () => {
    expect(await text(page, '.tiles')).toMatch(
      /measured\s+[\d.]+ ms[\s\S]*predicted\s+[\d.]+ ms[\s\S]*\+\d+ %/,
    );
    expect(await count(page, '#periods .expected')).toBe(1);
    expect(await count(page, '#loss circle')).toBe(12);
  });

  it('had nothing to complain about, and fetched nothing', () => {
    expect(page.problems).toEqual([]);
  });
});

describe('other timelines', () => {
  it('show the prediction alone where nothing was trained', async () => {
    const page = await open('plan', madeUpTimeline({ stageCount: 4, stepCount: 0 }));
    await shoot(page, 'plan');
    expect(await count(page, '#measured')).toBe(0);
    expect(await count(page, '#loss')).toBe(0);
    expect(await text(page, '.notice')).toContain('Nothing was trained');
    expect(Math.min(...(await inked(page, '#predicted-canvas', 4, '--forward')))).toBeGreaterThan(0);
    expect(page.problems).toEqual([]);
    await page.close();
  });

  it('are dark where the system is, with several stages a worker and a plan that was not measured', async () => {
    const made = {
      stageCount: 4,
      workerCount: 2,
      microBatchCount: 6,
      noise: 0.3,
      stepCount: 8,
      isMeasured: false,
    };
    const page = await open('dark', madeUpTimeline(made), { ...VIEW, colourScheme: 'dark' });
    await shoot(page, 'dark');
    expect(await page.evaluate('getComputedStyle(document.body).backgroundColor')).toBe('rgb(20, 23, 27)');
    expect(await text(page, '#predicted h3')).toContain('at unit cost');
    expect(Math.min(...(await inked(page, '#measured-canvas', 2, '--backward')))).toBeGreaterThan(0);
    expect(page.problems).toEqual([]);
    await page.close();
  });

  it('fit on a narrow screen', async () => {
    const page = await open('narrow', madeUpTimeline({ stageCount: 3, noise: 0.2 }), {
      width: 390,
      height: 800,
    });
    await shoot(page, 'narrow');
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(390);
    expect(page.problems).toEqual([]);
    await page.close();
  });

  it('show one step of one worker, and one micro-batch', async () => {
    const page = await open('one', madeUpTimeline({ stageCount: 1, microBatchCount: 1, stepCount: 1 }));
    await shoot(page, 'one');
    expect(await count(page, '#measured [data-worker]')).toBe(1);
    expect(page.problems).toEqual([]);
    await page.close();
  });
});
