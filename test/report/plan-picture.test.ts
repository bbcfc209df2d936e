/** The schedule of a plan in letters, as wide as there is room. */
import type { Plan } from 'millrace';
import { describe, expect, it } from 'vitest';
import { drawPlan } from '#internal/report/plan-picture.js';
import { madeUpTimeline } from './timeline/support.js';

const planOf = (options: Parameters<typeof madeUpTimeline>[0]): Plan =>
  madeUpTimeline({ ...options, stepCount: 0 }).plan;

const widthOf = (picture: string): number => Math.max(...picture.split('\n').map(({ length }) => length));

describe('the picture of a plan', () => {
  it('has a column for each unit where nothing was measured', () => {
    expect(
      drawPlan(planOf({ microBatchCount: 2, schedule: '1f1b', isMeasured: false })),
    ).toMatchInlineSnapshot(`
      "worker 0  0F0 0F1 .   0B0 0W0 .   0B1 0W1
      worker 1  .   1F0 1B0 1W0 1F1 1B1 1W1"
    `);
  });

  it('is to scale where the layers were measured', () => {
    expect(drawPlan(planOf({ microBatchCount: 2, schedule: '1f1b' }))).toMatchInlineSnapshot(`
      "worker 0  0F0---- 0F1---- .   .   .   0B0---- 0W0 .   .   .   0B1---- 0W1----
      worker 1  .   .   1F0---- 1B0-------- 1W0---- 1F1---- 1B1---- 1W1----"
    `);
  });

  it.each([60, 80, 120, 200])('fits into %d columns, and marks what is cut off', columns => {
    for (const microBatchCount of [1, 4, 32]) {
      for (const isMeasured of [true, false]) {
        const picture = drawPlan(planOf({ stageCount: 3, microBatchCount, isMeasured }), columns);
        expect(widthOf(picture)).toBeLessThanOrEqual(columns);
        expect(picture).toContain('0F0');
        const isWhole =
          picture.includes(`0W${microBatchCount - 1}`) || picture.includes(`,${microBatchCount - 1}`);
        expect(isWhole || picture.includes('…')).toBe(true);
      }
    }
  });

  it('leaves out workers that do not fit on a screen', () => {
    const picture = drawPlan(planOf({ stageCount: 40, microBatchCount: 1 }));
    expect(picture).toContain('… 8 workers below');
    expect(picture.split('\n')).toHaveLength(33);
  });
});
