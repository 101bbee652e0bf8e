// The worst cases of a report: the image beside truth and predictions, drawn by KaTeX and as tokens.
import { messageOf } from '../shared/errors.ts';
import { type Marked, markDifferences } from './diff.ts';
import { Html, html } from './html.ts';
import { renderFormula } from './katex.ts';
import type { Grade } from './metrics.ts';
import { imageUri } from './report_image.ts';

/** A labelled image that was read. */
export interface ReadSample {
  readonly name: string;
  /** its files */
  readonly images: readonly string[];
  readonly grade: Grade;
}

export interface NamedRun {
  readonly name: string;
  readonly samples: readonly ReadSample[];
}

/** A sample and what each run that read it made of it. */
export interface Misread extends Omit<ReadSample, 'grade'> {
  readonly readings: readonly { readonly run: string; readonly grade: Grade }[];
}

/** What some run misread, the highest mean edit distance first; runs may have dropped different samples. */
export function misreadSamples(runs: readonly NamedRun[]): Misread[] {
  const found = new Map<string, Misread & { readings: { run: string; grade: Grade }[] }>();
  for (const run of runs) {
    const times = new Map<string, number>();
    for (const { name, images, grade } of run.samples) {
      const same = JSON.stringify([images.length > 0 ? images : name, grade.pair.truth]);
      // What stands twice in a run is two samples, here as in its scores.
      const time = times.get(same) ?? 0;
      times.set(same, time + 1);
      const key = `${same}${time}`;
      const sample = found.get(key) ?? { name, images, readings: [] };
      found.set(key, sample);
      sample.readings.push({ run: run.name, grade });
    }
  }
  const distance = ({ readings }: Misread): number =>
    readings.reduce((sum, { grade }) => sum + grade.editDistance, 0) / readings.length;
  return Array.from(found.values())
    .filter(({ readings }) => readings.some(({ grade }) => grade.errors > 0))
    .sort((a, b) => distance(b) - distance(a));
}

export async function caseCard({ name, images, readings }: Misread): Promise<Html> {
  const { tokens, pair } = readings[0]!.grade;
  const pictures = await Promise.all(images.map(picture));
  const distances = readings.map(({ grade }) => grade.editDistance.toFixed(3)).join(', ');
  const predictions = readings.map(({ run, grade }) => {
    const marked = markDifferences(grade.tokens.truth, grade.tokens.prediction).prediction;
    return side('prediction', run, grade.pair.prediction, marked);
  });
  // With several runs the truth is marked only where there is one prediction to hold it against.
  const truth =
    readings.length === 1
      ? markDifferences(tokens.truth, tokens.prediction).truth
      : tokens.truth.map((token) => ({ token, differs: false }));
  return html`<section class="card case"><header><span>${name}</span><span>edit distance ${distances}</span></header>
<div class="sides"><div class="side"><h3>Image</h3><div class="picture image">${pictures}</div></div>
${side('truth', 'Truth', pair.truth, truth)}${predictions}</div></section>`;
}

/** The image, or why there is none: a page of scores does not fail for it. */
async function picture(file: string): Promise<Html> {
  try {
    return html`<img src="${await imageUri(file)}" alt="the image that was read">`;
  } catch (error) {
    return html`<span class="none">${messageOf(error)}</span>`;
  }
}

function side(kind: 'truth' | 'prediction', title: string, formula: string, tokens: readonly Marked[]): Html {
  const drawn = renderFormula(formula);
  const picture =
    tokens.length === 0
      ? html`<span class="none">nothing to draw</span>`
      : drawn === null
        ? html`<span class="none">KaTeX cannot draw it</span>`
        : new Html(drawn);
  const source = tokens.map(({ token, differs }) => (differs ? html`<mark>${token}</mark> ` : html`${token} `));
  return html`<div class="side ${kind}"><h3>${title}</h3><div class="picture">${picture}</div><code>${source}</code></div>`;
}
