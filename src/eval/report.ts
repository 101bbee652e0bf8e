// The evaluation report: one HTML page that fetches nothing and runs nothing, with the scores of one or several runs,
// how the errors are distributed, where they lie, and the worst cases as mathematics.
import { BREAKDOWN_DEFINITIONS, type Breakdown } from './breakdown.ts';
import { Html, html } from './html.ts';
import { formatScore, METRIC_LABELS, METRIC_NAMES } from './labels.ts';
import { METRIC_DEFINITIONS, type MetricName, type Scores } from './metrics.ts';
import { caseCard, misreadSamples, type NamedRun } from './report_cases.ts';
import { katexStyle, RUN_COLORS, STYLE } from './report_style.ts';

export interface ReportRun extends NamedRun {
  readonly scores: Scores;
  readonly breakdown: Breakdown;
  readonly dropped: number;
}

export interface ReportOptions {
  readonly title: string;
  /** what was read, as the reader knows it */
  readonly data: string;
  readonly runs: readonly ReportRun[];
  /** how many misread formulas to show at most, the worst first */
  readonly worst: number;
}

const color = (run: number): string => RUN_COLORS[run % RUN_COLORS.length]!;

// Nothing but this page's own styles and pictures may load, whatever a formula or a name says.
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:";

export async function reportPage({ title, data, runs, worst }: ReportOptions): Promise<string> {
  const misread = misreadSamples(runs);
  const shown = misread.slice(0, worst);
  // One after the other: all at once would open every picture's file together.
  const cards: Html[] = [];
  for (const sample of shown) cards.push(await caseCard(sample));
  const styles = new Html(`${await katexStyle()}${STYLE}`);
  const page = html`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${styles}</style>
<main>
<h1>${title}</h1>
<p class="soft">${data}</p>
<h2>Scores</h2>
${scoreTable(runs)}
<h2>How far off</h2>
<div class="card">${histogram(runs)}<small>Formulas by edit distance. ${METRIC_DEFINITIONS.editDistance}.</small></div>
<h2>By length</h2>
${sliceTable(runs, 'byLength')}
<h2>By kinds of symbol</h2>
${sliceTable(runs, 'bySymbols')}
<h2>Worst cases</h2>
<p class="soft">${casesNote(shown.length, misread.length, runs.length > 1)}</p>
${cards}
<h2>Definitions</h2>
<div class="card"><p>Normalisation: ${METRIC_DEFINITIONS.normalization}.</p><p>Canonical tokens: ${METRIC_DEFINITIONS.canonical}.</p>
<p>Kinds of symbol: ${BREAKDOWN_DEFINITIONS.bySymbols}. Recall: ${BREAKDOWN_DEFINITIONS.recall}.</p></div>
</main>
</html>
`;
  return page.text;
}

function casesNote(shown: number, misread: number, several: boolean): string {
  if (misread === 0) return 'Every formula was read without an error.';
  const who = several ? 'some run' : 'the model';
  const order = several ? 'by the mean of their edit distances' : 'by edit distance';
  return `${shown} of the ${misread} formulas that ${who} misread, ${order}. Marked tokens are missing on the other side.`;
}

const runHeads = (runs: readonly ReportRun[]): Html[] =>
  runs.map(
    ({ name }, i) => html`<th class="number"><span class="key" style="background:${color(i)}"></span>${name}</th>`,
  );

function scoreTable(runs: readonly ReportRun[]): Html {
  const known = METRIC_NAMES.filter((metric) => runs.some(({ scores }) => scores[metric] !== undefined));
  const rows = known.map((metric) => {
    const best = bestOf(metric, runs);
    return html`<tr><th>${METRIC_LABELS[metric].label}<small>${METRIC_DEFINITIONS[metric]}</small></th>${runs.map(
      ({ scores }) =>
        html`<td class="${scores[metric] === best ? 'number best' : 'number'}">${formatScore(scores[metric])}</td>`,
    )}</tr>`;
  });
  const counts = runs.map(({ scores }) => html`<td class="number">${scores.count}</td>`);
  const dropped = runs.map((run) => html`<td class="number">${run.dropped}</td>`);
  return html`<div class="card"><table><thead><tr><th></th>${runHeads(runs)}</tr></thead><tbody>
<tr><th>Formulas</th>${counts}</tr><tr><th>Dropped<small>could not be read or do not fit; they are not scored</small></th>${dropped}</tr>
${rows}</tbody></table></div>`;
}

/** The best of several runs, where one is better than another. */
function bestOf(metric: MetricName, runs: readonly ReportRun[]): number | null {
  const { best } = METRIC_LABELS[metric];
  const values = runs.flatMap(({ scores }) => scores[metric] ?? []);
  if (best === null || new Set(values).size === 1) return null;
  return best === 'high' ? Math.max(...values) : Math.min(...values);
}

const BINS = ['0', ...Array.from({ length: 10 }, (_, i) => `≤ ${((i + 1) / 10).toFixed(1)}`)];
/** The bin of an edit distance: none at all, then tenths. */
const binOf = (distance: number): number => Math.min(Math.ceil(distance * 10), 10);

const CHART = { width: 760, height: 230, left: 44, bottom: 26, top: 14 };

function histogram(runs: readonly ReportRun[]): Html {
  const shares = runs.map(({ samples }) => {
    const counts = new Array<number>(BINS.length).fill(0);
    for (const { grade } of samples) counts[binOf(grade.editDistance)]! += 1 / samples.length;
    return counts;
  });
  const highest = Math.max(0.1, Math.ceil(Math.max(...shares.flat()) * 10) / 10);
  const step = (CHART.width - CHART.left) / BINS.length;
  const base = CHART.height - CHART.bottom;
  const y = (share: number): number => base - (share / highest) * (base - CHART.top);
  const bar = (step * 0.76) / runs.length;
  const lines = [0, highest / 2, highest].map(
    (share) => html`<line x1="${CHART.left}" x2="${CHART.width}" y1="${y(share)}" y2="${y(share)}"/>
<text x="${CHART.left - 8}" y="${y(share) + 4}" text-anchor="end">${Math.round(share * 100)} %</text>`,
  );
  const names = BINS.map(
    (name, bin) =>
      html`<text x="${CHART.left + (bin + 0.5) * step}" y="${base + 18}" text-anchor="middle">${name}</text>`,
  );
  const bars = shares.flatMap((counts, run) =>
    counts.map((share, bin) => {
      const x = CHART.left + bin * step + step * 0.12 + run * bar;
      const told = `${runs[run]!.name}, ${BINS[bin]}: ${(share * 100).toFixed(1)} %`;
      return html`<rect x="${x.toFixed(1)}" y="${y(share).toFixed(1)}" width="${Math.max(1, bar - 2).toFixed(1)}" height="${(base - y(share)).toFixed(1)}" rx="2" fill="${color(run)}"><title>${told}</title></rect>`;
    }),
  );
  return html`<svg viewBox="0 0 ${CHART.width} ${CHART.height}" role="img" aria-label="Formulas by edit distance">${lines}${bars}${names}</svg>`;
}

function sliceTable(runs: readonly ReportRun[], by: 'byLength' | 'bySymbols'): Html {
  const names = [...new Set(runs.flatMap(({ breakdown }) => breakdown[by].map(({ name }) => name)))];
  const withRecall = by === 'bySymbols';
  const columns = ['exact', 'distance', ...(withRecall ? ['recall'] : [])];
  const rows = names.map((name) => {
    const slices = runs.map(({ breakdown }) => breakdown[by].find((slice) => slice.name === name));
    const cells = slices.flatMap((slice) => {
      const recall = slice && 'recall' in slice ? (slice.recall as number) : undefined;
      const values = [slice?.exactMatchCanonical, slice?.editDistance, ...(withRecall ? [recall] : [])];
      return values.map((value) => html`<td class="number">${value === undefined ? '–' : value.toFixed(3)}</td>`);
    });
    const count = Math.max(...slices.map((slice) => slice?.count ?? 0));
    return html`<tr><th>${name}</th><td class="number">${count}</td>${cells}</tr>`;
  });
  const heads = runs.flatMap(() => columns.map((column) => html`<th class="number">${column}</th>`));
  const groups = runs.map(
    ({ name }, i) =>
      html`<th class="number" colspan="${columns.length}"><span class="key" style="background:${color(i)}"></span>${name}</th>`,
  );
  return html`<div class="card"><table><thead><tr><th></th><th></th>${groups}</tr>
<tr><th></th><th class="number">formulas</th>${heads}</tr></thead><tbody>${rows}</tbody></table></div>`;
}
