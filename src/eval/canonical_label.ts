// Labels in the canonical spelling that scores compare, and why a label has none. Runs on worker threads.
import { canonicalTokens } from './canonical.ts';

export type CanonicalLabel = { readonly text: string } | { readonly fault: LabelFault };

export const LABEL_FAULTS = {
  unparsable: 'KaTeX cannot parse it',
  empty: 'empty, or nothing but space',
  unstable: 'its canonical spelling reads otherwise',
} as const;
export type LabelFault = keyof typeof LABEL_FAULTS;

function canonicalLabel(label: string): CanonicalLabel {
  const { tokens, parses } = canonicalTokens(label);
  if (!parses) return { fault: 'unparsable' };
  if (tokens.length === 0) return { fault: 'empty' };
  const text = tokens.join(' ');
  // What KaTeX draws and the canonical form has no word for (links, nested text) would be another formula when read.
  const again = canonicalTokens(text);
  return again.parses && again.tokens.join(' ') === text ? { text } : { fault: 'unstable' };
}

export default (labels: readonly string[]): CanonicalLabel[] => labels.map(canonicalLabel);
