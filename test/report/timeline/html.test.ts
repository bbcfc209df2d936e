/** The page as text; what it draws is looked at in a browser, by `npm run test:browser`. */
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import type { PageData } from '#internal/report/timeline/html/page-data.js';
import { pageScript } from '#internal/report/timeline/html/script.js';
import { Timeline } from '#internal/report/timeline/index.js';
import { madeUpTimeline } from './support.js';

function dataOf(html: string): PageData {
  return JSON.parse(/id="timeline">(.*?)<\/script>/s.exec(html)![1]!) as PageData;
}

describe('the page', () => {
  it('has a script that is one piece and that Node can parse', () => {
    const script = pageScript();
    expect(script).not.toMatch(/^\s*(import|export)\b/m);
    const { status, stderr } = spawnSync(process.execPath, ['--check', '--input-type=module', '-'], {
      input: script,
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    expect(status).toBe(0);
  });

  it('names nothing outside itself', () => {
    const html = madeUpTimeline().toHtml();
    expect(html).toContain("default-src 'none'");
    const addresses = [...html.matchAll(/(?:https?:)?\/\/[a-z0-9.-]+\.[a-z]+/g)].map(([address]) => address);
    // The name of SVG, which is no address.
    expect(new Set(addresses)).toEqual(new Set(['http://www.w3.org']));
    expect(html).not.toMatch(/<(script|link|img|iframe)[^>]+(src|href)="(?!data:)/);
  });

  it('keeps the times to the microsecond, in the order in which they were', () => {
    const timeline = madeUpTimeline({ stageCount: 3, noise: 0.7 });
    const { measured, actions } = dataOf(timeline.toHtml());
    for (const [index, step] of timeline.steps.entries()) {
      const { spans, startMs } = measured[index]!;
      for (const [worker, numbers] of spans.entries()) {
        const own = step.actions.filter(record => record.worker === worker);
        expect(numbers).toHaveLength(3 * own.length);
        let cursorUs = Math.round(startMs * 1e3);
        for (const [position, { action, startMs: from, endMs: to }] of own.entries()) {
          const [place, gapUs, durationUs] = numbers.slice(3 * position);
          expect(actions[place!]!.kind).toBe(action.kind);
          expect(cursorUs + gapUs!).toBeCloseTo(from * 1e3, -1);
          cursorUs += gapUs! + durationUs!;
          expect(Math.abs(cursorUs - to * 1e3)).toBeLessThan(1);
        }
      }
    }
  });

  it('tells copies of a stage apart', () => {
    const timeline = madeUpTimeline({ stageCount: 2 });
    const { stages } = timeline.plan;
    // One stage of the model in two copies.
    const doubled = Object.assign(Object.create(Timeline.prototype) as Timeline, timeline, {
      plan: { ...timeline.plan, stages: stages.slice(0, 1) },
    });
    const { actions } = dataOf(doubled.toHtml());
    expect(new Set(actions.map(({ stage, replica }) => `${stage} ${replica}`))).toEqual(
      new Set(['0 0', '0 1']),
    );
  });

  it('cannot be broken by a name', () => {
    const timeline = madeUpTimeline();
    const name = '</script><script>alert("<!--")</script>';
    const html = Object.assign(timeline, { modelName: name }).toHtml();
    expect(dataOf(html).modelName).toBe(name);
    expect(html.match(/<script/g)).toHaveLength(2);
  });

  it('says what has to be known to read it', () => {
    const notes = (options: Parameters<typeof madeUpTimeline>[0]) =>
      dataOf(madeUpTimeline(options).toHtml()).notes.join('\n');
    expect(notes({ stepCount: 0 })).toContain('Nothing was trained');
    expect(notes({ isMeasured: false })).toContain('without measuring');
    expect(notes({ stageCount: 300, microBatchCount: 1, stepCount: 1, schedule: 'gpipe' })).toMatch(
      /300 workers share \d+ cores/,
    );
  });
});
