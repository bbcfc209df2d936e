/** A timeline as one page: its style, its script and its data stand in it, and it may fetch nothing. */
import type { TimelineData } from '../data.js';
import { pageData } from './page-data.js';
import { pageScript } from './script.js';
import { PAGE_STYLE } from './style.js';

export function toHtml(timeline: TimelineData): string {
  const title = escapeHtml(`Timeline of ${timeline.modelName}`);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>${title}</title>
<style>${PAGE_STYLE}</style>
</head>
<body>
<noscript>This page draws its timeline with JavaScript.</noscript>
<script type="application/json" id="timeline">${escapeScript(JSON.stringify(pageData(timeline)))}</script>
<script type="module">
${pageScript()}
</script>
</body>
</html>
`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, character => `&#${character.charCodeAt(0)};`);
}

/** Inside a script element nothing but its end, or the beginning of a comment, must be hidden. */
function escapeScript(json: string): string {
  return json.replaceAll('<', '\\u003c');
}
