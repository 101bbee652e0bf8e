// The looks of the evaluation report, light and dark, and KaTeX's style sheet with its fonts inside.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

export const STYLE = `
:root {
  color-scheme: light dark;
  --ground: light-dark(#f6f7f9, #14161a);
  --card: light-dark(#ffffff, #1d2026);
  --ink: light-dark(#1b1f27, #e6e8ec);
  --soft: light-dark(#5d6675, #9aa3b2);
  --line: light-dark(#e1e5eb, #30353e);
  --good: light-dark(#0b7a53, #46c795);
  --bad: light-dark(#b3261e, #ff8a80);
  --missing: light-dark(#ffe3e0, #53231f);
  --added: light-dark(#fff0c7, #4a3a10);
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
main { max-width: 1180px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0 0 4px; letter-spacing: -.01em; }
h2 { font-size: 18px; margin: 40px 0 12px; }
p { margin: 0 0 12px; }
.soft, small { color: var(--soft); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 16px 18px; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 7px 14px 7px 0; border-top: 1px solid var(--line); vertical-align: top; }
thead th { border-top: 0; color: var(--soft); font-weight: 600; overflow-wrap: anywhere; }
tbody th { font-weight: 500; }
th.number, td.number { width: 8.5em; text-align: right; padding-right: 0; padding-left: 14px; white-space: nowrap; }
thead th.number { white-space: normal; }
td.best { color: var(--good); font-weight: 650; }
small { display: block; font-size: 12.5px; font-weight: 400; max-width: 78ch; line-height: 1.4; }
.key { display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin-right: 6px; }
svg { display: block; width: 100%; height: auto; }
svg + small { max-width: none; margin-top: 8px; }
svg text { fill: var(--soft); font-size: 11px; }
svg line { stroke: var(--line); }
.case { margin-bottom: 14px; }
.case header { display: flex; gap: 12px; justify-content: space-between; color: var(--soft); font-size: 13px; margin-bottom: 10px; }
.case header span:first-child { overflow-wrap: anywhere; }
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(235px, 100%), 1fr)); gap: 14px; }
.side { min-width: 0; }
.side h3 { font-size: 12px; margin: 0 0 6px; color: var(--soft); font-weight: 600; overflow-wrap: anywhere; }
.picture { border: 1px solid var(--line); border-radius: 8px; min-height: 72px; padding: 10px; overflow-x: auto; display: grid; align-items: center; }
.picture.image { background: #fff; justify-items: center; }
.picture img { max-width: 100%; height: auto; display: block; }
.picture .katex-display { margin: 0; }
.none { color: var(--bad); font-size: 13.5px; }
code {
  display: block; margin-top: 6px; font: 12px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
  color: var(--soft); overflow-wrap: anywhere; white-space: pre-wrap;
}
code mark { color: var(--ink); border-radius: 3px; padding: 0 1px; }
.truth mark { background: var(--missing); }
.prediction mark { background: var(--added); }
@media print { body { background: none; } .card { break-inside: avoid; } }
`;

/** Colours of the runs, in order; they tell apart for the colour-blind (Okabe and Ito). */
export const RUN_COLORS = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#d55e00'] as const;

/** KaTeX's style sheet with its WOFF2 fonts as data, so that nothing is fetched. */
export async function katexStyle(): Promise<string> {
  const file = createRequire(import.meta.url).resolve('katex/dist/katex.min.css');
  const css = await readFile(file, 'utf8');
  const names = new Set(Array.from(css.matchAll(/url\((fonts\/[\w-]+\.woff2)\)/g), (match) => match[1]!));
  const fonts = new Map(
    await Promise.all(
      Array.from(
        names,
        async (name): Promise<[string, string]> => [
          name,
          (await readFile(join(dirname(file), name))).toString('base64'),
        ],
      ),
    ),
  );
  return css.replace(/src:url\((fonts\/[\w-]+\.woff2)\)[^;}]*/g, (_, name: string) => {
    return `src:url(data:font/woff2;base64,${fonts.get(name)}) format("woff2")`;
  });
}
