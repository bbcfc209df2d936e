/** The page's style. Colours of actions are named here once, for light and for dark. */
export const PAGE_STYLE = `
:root {
  color-scheme: light dark;
  --ground: #f6f7f9;
  --panel: #ffffff;
  --ink: #1b1f24;
  --muted: #5b6470;
  --line: #d9dde3;
  --grid: #e7eaee;
  --accent: #0b5cad;
  --off: #a3390b;
  --notice: #fff6e0;
  --forward: #0072b2;
  --backward: #f0a30a;
  --weights: #00805f;
  --recompute: #56b4e9;
  --step: #a8477f;
  --send: #6f7783;
  --wait: #aeb5bf;
  --memory: #5f7fb8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14171b;
    --panel: #1c2026;
    --ink: #e8ebef;
    --muted: #9aa4b1;
    --line: #333a44;
    --grid: #2a3038;
    --accent: #6db3f2;
    --off: #ff9b73;
    --notice: #362d14;
    --forward: #2b8fd0;
    --backward: #f2b134;
    --weights: #169b77;
    --recompute: #7cc8f2;
    --step: #c46a9d;
    --send: #8b94a1;
    --wait: #5a6370;
    --memory: #7c9bd1;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 14px/1.45 system-ui, sans-serif; }
main { max-width: 1480px; margin: 0 auto; padding: 20px 24px 48px; }
h1 { font-size: 22px; margin: 0 0 2px; overflow-wrap: anywhere; }
h2 { font-size: 15px; margin: 0 0 10px; }
h3 { font-size: 13px; margin: 0; display: flex; align-items: baseline; gap: 10px; }
.aside { font-weight: 400; color: var(--muted); font-variant-numeric: tabular-nums; }
.facts { margin: 0 0 12px; color: var(--muted); display: flex; flex-wrap: wrap; }
.facts span + span::before { content: '·'; margin: 0 8px; }
.notice { margin: 0 0 8px; padding: 8px 12px; border-radius: 6px; background: var(--notice); }
.note { margin: 10px 0 0; color: var(--muted); font-size: 12.5px; max-width: 100ch; }
section { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 14px 16px; margin-top: 14px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 10px; }
.tile { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 9px 12px; display: flex; flex-direction: column; }
.tile .label, .tile .what { color: var(--muted); font-size: 12px; }
.tile .value { font-size: 20px; font-weight: 600; font-variant-numeric: tabular-nums; }
.toolbar { display: flex; align-items: center; gap: 8px; margin-bottom: 8px; flex-wrap: wrap; }
.toolbar .space { flex: 1; }
.toolbar input[type='range'] { width: min(320px, 40vw); accent-color: var(--accent); }
.toolbar output { color: var(--muted); font-variant-numeric: tabular-nums; }
button, select { font: inherit; color: inherit; background: var(--panel); border: 1px solid var(--line); border-radius: 6px; padding: 3px 10px; min-width: 32px; cursor: pointer; }
button:hover, select:hover { border-color: var(--muted); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 16px; padding: 0; margin: 0 0 10px; font-size: 12.5px; color: var(--muted); }
.legend li { display: flex; align-items: center; gap: 6px; }
.swatch { width: 20px; height: 16px; border-radius: 2px; font-size: 11px; font-weight: 600; line-height: 16px; text-align: center; }
.lanes { margin-top: 12px; }
.lanes-body { display: flex; }
.lane-names { flex: none; width: 74px; list-style: none; margin: 0; padding: 0; }
.lane-names li { font-size: 12px; color: var(--muted); display: flex; align-items: center; white-space: nowrap; line-height: 1; font-variant-numeric: tabular-nums; }
.lane-names .unnamed { font-size: 0; }
.lane-canvas { flex: 1; min-width: 0; position: relative; }
canvas { position: absolute; inset: 0; width: 100%; height: 100%; cursor: crosshair; touch-action: pan-y; }
canvas.dragged { cursor: grabbing; }
.choice { font-weight: 400; color: var(--muted); margin-left: auto; }
.choice select { padding: 1px 6px; }
#tooltip { position: fixed; z-index: 1; pointer-events: none; max-width: 340px; background: var(--panel); border: 1px solid var(--line); border-radius: 6px; box-shadow: 0 4px 16px #0004; padding: 8px 10px; font-size: 12.5px; }
#tooltip[hidden] { display: none; }
#tooltip strong { display: block; border-left: 4px solid var(--muted); padding-left: 7px; margin-bottom: 4px; }
#tooltip dl { display: grid; grid-template-columns: auto 1fr; gap: 1px 10px; margin: 0; }
#tooltip dt { color: var(--muted); }
#tooltip dd { margin: 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th { text-align: left; font-weight: 500; }
thead th { color: var(--muted); font-size: 12px; padding: 0 12px 6px 0; vertical-align: bottom; }
tbody th, td { padding: 4px 12px 4px 0; border-top: 1px solid var(--grid); vertical-align: middle; }
.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.workers .bars { width: 60%; min-width: 240px; }
.bar { display: flex; align-items: center; gap: 8px; }
.bar .pace { flex: none; width: 62px; font-size: 11.5px; color: var(--muted); }
.bar .track { flex: 1; }
.bar .period { display: flex; height: 12px; background: var(--grid); border-radius: 2px; overflow: hidden; }
.bar.predicted .period { height: 8px; opacity: 0.75; }
.bar .period > span { flex: none; height: 100%; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(340px, 100%), 1fr)); gap: 16px; }
.step-chart { margin: 0; }
.step-chart figcaption { font-size: 13px; font-weight: 600; }
.step-chart svg { width: 100%; height: auto; display: block; }
.step-chart text { font-size: 11px; fill: var(--muted); }
.step-chart path { fill: none; stroke-width: 1.5; }
.step-chart .grid { stroke: var(--grid); }
.step-chart .expected { stroke: var(--muted); stroke-dasharray: 5 4; }
.step-chart circle { cursor: pointer; stroke: var(--panel); stroke-width: 1; }
.step-chart circle.chosen { r: 6px; stroke: var(--ink); stroke-width: 2; }
.scroll { overflow: auto; max-height: 520px; }
.scroll thead th { position: sticky; top: 0; background: var(--panel); }
.stages .layers { max-width: 260px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.stages .expected { color: var(--muted); font-size: 11.5px; }
.stages .off { color: var(--off); }
`;
