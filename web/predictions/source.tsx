// A formula's LaTeX with the tokens marked that differ from the other one. The marks are told to screen readers too.
import type { Token } from './token_diff.ts';

export function Source({ tokens, kind }: { tokens: readonly Token[]; kind: 'ins' | 'del' }) {
  const runs: { text: string; differs: boolean }[] = [];
  for (const token of tokens) {
    const text = (token.spaced && runs.length > 0 ? ' ' : '') + token.text;
    const last = runs.at(-1);
    if (last && last.differs === token.differs) last.text += text;
    else runs.push({ text, differs: token.differs });
  }
  const Mark = kind;
  return (
    <code class="source">{runs.map(({ text, differs }, i) => (differs ? <Mark key={i}>{text}</Mark> : text))}</code>
  );
}
