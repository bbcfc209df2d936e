/** What a run leaves: a table in the terminal and docs/performance.md, over rows with made-up times. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { sectionOf, withSection, wrap } from '../../bench/run/markdown.mjs';
import { pageText } from '../../bench/run/page.mjs';
import { formatResults, writePerformancePage } from '../../bench/run/report.mjs';
import { temporaryDirectory } from '../setup/fixtures.js';
import { row, rowsOf } from './rows.js';

const COUNTED = ['mlp', 'cnn', 'lstm', 'lstm-sigmoid', 'ds-cnn', 'text-cnn', 'transformer'];

const FACTS = {
  date: '2026-01-02',
  cpu: 'A Processor',
  cores: 2,
  memoryGib: 8,
  platform: 'linux x64',
  versions: { Node: '20.19.0', PyTorch: 'absent' },
};
const MEASUREMENT = { rounds: 7, stretchMs: 1_500 };

/** The part of a page under one heading. */
function section(page: string, heading: string): string {
  const start = page.indexOf(`\n${heading}\n`);
  if (start < 0) throw new Error(`the page has no '${heading}'`);
  const end = page.slice(start + heading.length + 2).search(/\n##/);
  return end < 0 ? page.slice(start + 1) : page.slice(start + 1, start + heading.length + 2 + end);
}

describe('the table in the terminal', () => {
  it('has a row a system, in aligned columns, with times relative to two stages on the same backend', () => {
    const rows = [
      row('mlp', 'tfjs-node tensorflow', 40),
      row('mlp', 'millrace tensorflow 2-stage', 10, { microBatches: 4 }),
      row('mlp', 'millrace wasm 2-stage', 20, { microBatches: 2 }),
      row('mlp', 'tfjs-wasm wasm', 100),
      row('mlp', 'torch torch', 5),
      row('tiny', 'tfjs-node tensorflow', 4, { batch: 32 }),
    ];
    expect(formatResults(rows)).toBe(
      `
mlp: MLP 784-512×4-10, 128 samples a step
system     backend     plan     micro-batches              ms a step  times 2-stage
tfjs-node  tensorflow                            40.00 (36.00–48.00)           4.00
millrace   tensorflow  2-stage              4     10.00 (9.00–12.00)           1.00
millrace   wasm        2-stage              2    20.00 (18.00–24.00)           1.00
tfjs-wasm  wasm                                100.00 (90.00–120.00)           5.00
torch      torch                                    5.00 (4.50–6.00)           0.50

tiny: tiny MLP 64-16-1, 32 samples a step
system     backend     plan  micro-batches         ms a step  times 2-stage
tfjs-node  tensorflow                       4.00 (3.60–4.80)
`.trim(),
    );
  });
});

describe('docs/performance.md', () => {
  const rows = [
    ...rowsOf({
      mlp: { 'tfjs-node tensorflow': 50, 'torch torch': 8 },
      cnn: { 'tfjs-node tensorflow': 17, 'millrace tensorflow 2-stage': 10, 'torch torch': 20 },
      tiny: { 'tfjs-node tensorflow': 1, 'millrace tensorflow 2-stage': 10 },
    }),
    row('mlp', 'millrace tensorflow 2-stage', 10, {
      stages: 2,
      microBatches: 4,
      schedule: '1f1b',
      startMs: 512.4,
    }),
  ];
  const page = pageText(rows, FACTS, MEASUREMENT);

  it('tells the bounds of two plans apart', () => {
    const bounds = pageText(
      rowsOf({ mlp: { 'simulated-bound tensorflow 2-stage': 5, 'simulated-bound tensorflow auto': 4 } }),
      FACTS,
      MEASUREMENT,
    );
    expect(section(bounds, '### tensorflow').split('\n')).toContain(
      '| model | simulated-bound 2-stage | simulated-bound auto |',
    );
  });

  it('says on what, with what and how it was measured', () => {
    expect(page).toContain('2026-01-02, A Processor, 2 cores, 8 GiB of memory, linux x64.');
    expect(page).toContain('Node 20.19.0, PyTorch absent.');
    expect(page.replaceAll('\n', ' ')).toContain('7 rounds of about 1.5 s each');
  });

  it('has a table of ratios that says where a figure falls short and what does not count', () => {
    expect(section(page, '### Two stages and tfjs-node').split('\n').slice(4)).toEqual([
      '| model | Millrace, ms | tfjs-node, ms | ratio | asked |',
      '|---|--:|--:|--:|--:|',
      '| mlp | 10.00 | 50.00 | 5.00 | ≥ 1.80: met |',
      '| cnn | 10.00 | 17.00 | 1.70 | ≥ 1.80: **falls short** |',
      '| tiny (not counted) | 10.00 | 1.00 | 0.10 | – |',
      '| **mean of 2** |  |  | **2.92** | ≥ 4.00: **falls short** |',
      '',
    ]);
  });

  it('leaves out the column of what was asked where nothing was', () => {
    const times = { 'simulated-bound tensorflow auto': 9, 'millrace tensorflow auto': 10 };
    const text = section(
      pageText(rowsOf({ mlp: times }), FACTS, MEASUREMENT),
      '### What `auto` chooses and its simulated bound',
    );
    expect(text).toContain('| mlp | 10.00 | 9.00 | 0.90 |\n| **mean of 1** |  |  | **0.90** |');
  });

  it('holds no plan to account for what it differs from itself', () => {
    const plan = { stages: 1, replicas: 2, microBatches: 1, schedule: 'zero-bubble' };
    const [auto, replicas] = ['millrace tensorflow auto', 'millrace tensorflow 2-replica'];
    const alike = (model: string) => [row(model, auto, 10, plan), row(model, replicas, 9, plan)];
    const pageOf = (...more: Parameters<typeof pageText>[0]) =>
      pageText([...COUNTED.flatMap(alike), ...more], FACTS, MEASUREMENT);
    const title = 'What `auto` chooses and the best of all plans';
    expect(section(pageOf(), `### ${title}`)).toContain(
      '| mlp | 10.00 | 9.00 | 0.90 | ≥ 0.95: met, by the same plan |',
    );
    expect(section(pageOf(), '## Summary')).toContain(
      `| ${title} | – | – | 0.90 (mlp) | ≥ 0.95: met, by the same plan |`,
    );
    const half = pageText([...alike('mlp'), row('cnn', auto, 10, plan)], FACTS, MEASUREMENT);
    expect(section(half, '## Summary')).toContain('| 0.90 (mlp) | ≥ 0.95: not all measured |');
    const worse = pageOf(row('cnn', 'millrace tensorflow 2-stage', 8, { ...plan, stages: 2, replicas: 1 }));
    expect(section(worse, '## Summary')).toContain('≥ 0.95: **falls short**');
    expect(section(worse, `### ${title}`)).toContain(
      '| cnn | 10.00 | 8.00 | 0.80 | ≥ 0.95: **falls short** |',
    );
  });

  it('asks some things of some models alone', () => {
    const times = { 'millrace tensorflow auto': 10, 'torch torch': 9 };
    const text = section(
      pageText(rowsOf({ cnn: times, transformer: times }), FACTS, MEASUREMENT),
      '### What `auto` chooses and PyTorch on all cores',
    );
    expect(text).toContain('| cnn | 10.00 | 9.00 | 0.90 | ≥ 1.00: **falls short** |');
    expect(text).toContain('| transformer | 10.00 | 9.00 | 0.90 | – |');
  });

  it('sums the ratios up in one table', () => {
    const summary = section(page, '## Summary');
    expect(summary).toContain(
      '| Two stages and tfjs-node | 2.92 | ≥ 4.00: **falls short** | 1.70 (cnn) | ≥ 1.80: **falls short** |',
    );
    expect(summary).toContain('| Two stages and PyTorch on all cores | 1.26 | ≥ 1.00: met | 0.80 (mlp) |');
  });

  it('does not claim what was not measured', () => {
    expect(page).toContain('**Not in this run:** lstm, lstm-sigmoid, ds-cnn, text-cnn, transformer, wide.');
    const uncounted = pageText(rowsOf({ tiny: { 'tfjs-node tensorflow': 1 } }), FACTS, MEASUREMENT);
    expect(section(uncounted, '## Summary')).toContain('Not measured in this run.');
    expect(section(page, '### One stage and tfjs-node with one thread')).toContain(
      'Not measured in this run.',
    );
    const half = pageText(
      rowsOf({ mlp: { 'torch torch': 8 }, cnn: { 'torch torch': 8, 'millrace tensorflow 2-stage': 2 } }),
      FACTS,
      MEASUREMENT,
    );
    const text = section(half, '### Two stages and PyTorch on all cores');
    expect(text).toContain('| mlp | – | 8.00 | – | ≥ 0.60: not measured |');
    expect(text).toContain('| **mean of 1** |  |  | **4.00** | ≥ 1.00: not all measured |');
    expect(text).toContain('Counted, but not measured on both sides: mlp.');
  });

  it('says which models plain tfjs on wasm cannot train', () => {
    const wasm = pageText(rowsOf({ 'text-cnn': { 'millrace wasm 2-stage': 12 } }), FACTS, MEASUREMENT);
    expect(section(wasm, '### Two stages on wasm and plain tfjs on wasm')).toContain(
      '| text-cnn | 12.00 | cannot train | – | – |',
    );
  });

  it('has the milliseconds of every system by backend, the plans and the start-up times', () => {
    expect(section(page, '### tensorflow')).toContain(
      '| model | tfjs-node | Millrace 2-stage |\n|---|--:|--:|\n| mlp | 50.00 (45.00–60.00) | 10.00 (9.00–12.00) |',
    );
    expect(section(page, '### torch')).toContain('| cnn | 20.00 (18.00–24.00) |');
    expect(section(page, '## Plans')).toContain('| model | tensorflow, Millrace 2-stage |');
    expect(section(page, '## Plans')).toContain('| mlp | 2, 4, 1f1b |');
    expect(section(page, '## Start-up')).toContain('| mlp | 512 |');
  });

  it('keeps lines of text within 130 columns', () => {
    const long = page.split('\n').filter(line => !line.startsWith('|') && line.length > 130);
    expect(long).toEqual([]);
    expect(wrap('a '.repeat(100)).split('\n')).toHaveLength(2);
  });

  it('is the same for the same rows', () => {
    expect(pageText(rows, FACTS, MEASUREMENT)).toBe(page);
  });

  it.each(['transport', 'memory'] as const)('keeps the section on %s when it is written again', name => {
    const file = path.join(temporaryDirectory(), 'performance.md');
    writePerformancePage(rows, MEASUREMENT, { file, facts: FACTS });
    const first = readFileSync(file, 'utf8');
    const missing = `Not measured yet: \`npm run bench:${name}\` writes this section.`;
    expect(first).toContain(missing);
    writeFileSync(file, withSection(first, name, 'It is fast.\n\n| a |\n|---|'));
    writePerformancePage(rows.slice(1), MEASUREMENT, { file, facts: FACTS });
    const second = readFileSync(file, 'utf8');
    expect(sectionOf(second, name)).toBe('It is fast.\n\n| a |\n|---|');
    expect(second.match(/^## (Transport|Memory)$/gm)).toHaveLength(2);
    expect(second).not.toContain(missing);
  });

  it('takes a section on transport before there is any other', () => {
    const page = withSection('# Performance\n', 'transport', 'A ring is fast.');
    expect(page.startsWith('# Performance\n\n## Transport\n')).toBe(true);
    expect(sectionOf(withSection(page, 'transport', 'A ring is faster.'), 'transport')).toBe(
      'A ring is faster.',
    );
  });
});
