// A formula's LaTeX with the tokens marked that differ from the other one. The marks are told to screen readers too.
import type { Token } from './token_diff.ts';

export function Source({ tokens, kind }: { tokens: readonly Token[]; kind: 'ins' | 'del' }) {
  const Mark = kind;
  return (
    <code class="source">
      {pieces(tokens).map(({ text, differs }, i) => (differs ? <Mark key={i}>{text}</Mark> : text))}
    </code>
  );
}

/** Neighbours of one kind joined; the space between two kinds belongs to the unmarked one. */
function pieces(tokens: readonly Token[]): { text: string; differs: boolean }[] {
  const out: { text: string; differs: boolean }[] = [];
  for (const { text, spaced, differs } of tokens) {
    const space = spaced && out.length > 0 ? ' ' : '';
    const last = out.at(-1);
    if (last?.differs === differs) last.text += space + text;
    else if (differs && last) {
      last.text += space;
      out.push({ text, differs });
    } else out.push({ text: space + text, differs });
  }
  return out;
}
