// Corpus BLEU-4 (Papineni et al. 2002) as multi-bleu.perl and Hugging Face's `bleu` count it: one reference, brevity
// penalty, no smoothing; and the mteval-v13a tokens that sacrebleu and Hugging Face feed it.

export interface TokenPair {
  readonly truth: readonly string[];
  readonly prediction: readonly string[];
}

/** n-gram counts are summed over all pairs before the precisions are taken; 0 when one of the four matches nothing. */
export function corpusBleu4(pairs: readonly TokenPair[]): number {
  const matched = [0, 0, 0, 0];
  const proposed = [0, 0, 0, 0];
  let truthLength = 0;
  let predictionLength = 0;
  for (const { truth, prediction } of pairs) {
    truthLength += truth.length;
    predictionLength += prediction.length;
    for (let n = 1; n <= 4; n++) {
      const allowed = ngrams(truth, n);
      for (const [gram, times] of ngrams(prediction, n)) {
        proposed[n - 1]! += times;
        matched[n - 1]! += Math.min(times, allowed.get(gram) ?? 0);
      }
    }
  }
  if (matched.some((count) => count === 0)) return 0;
  const logPrecision = matched.reduce((sum, count, index) => sum + Math.log(count / proposed[index]!), 0) / 4;
  const brevity = Math.min(0, 1 - truthLength / predictionLength);
  return Math.exp(brevity + logPrecision);
}

/** How often each run of n tokens occurs; a space cannot stand in a token, so it can join them. */
function ngrams(list: readonly string[], n: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let start = 0; start + n <= list.length; start++) {
    const gram = list.slice(start, start + n).join(' ');
    counts.set(gram, (counts.get(gram) ?? 0) + 1);
  }
  return counts;
}

const ENTITIES: Readonly<Record<string, string>> = { '&quot;': '"', '&amp;': '&', '&lt;': '<', '&gt;': '>' };

/** The tokens of mteval-v13a, made for prose: punctuation alone, but . and , inside numbers. */
export function tokens13a(text: string): string[] {
  let line = text.replaceAll('<skipped>', '').replaceAll('-\n', '').replaceAll('\n', ' ');
  // One after the other, as the script does: &amp;lt; ends as <.
  for (const [entity, char] of Object.entries(ENTITIES)) line = line.replaceAll(entity, char);
  return ` ${line} `
    .replace(/([{-~[-` -&(-+:-@/])/g, ' $1 ')
    .replace(/([^0-9])([.,])/g, '$1 $2 ')
    .replace(/([.,])([^0-9])/g, ' $1 $2')
    .replace(/([0-9])(-)/g, '$1 $2 ')
    .split(/\s+/)
    .filter((token) => token !== '');
}
