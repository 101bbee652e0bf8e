// Mends formulas that KaTeX cannot parse: what they leave open is closed, and what closes nothing goes.
import { canonicalTokens } from './canonical.ts';

/** The formula where it parses and is not empty, else what mending makes of it, or null where that does not parse either. */
export function parsing(formula: string): string | null {
  if (parses(formula)) return formula;
  const text = mended(formula);
  return parses(text) ? text : null;
}

function parses(formula: string): boolean {
  const canonical = canonicalTokens(formula);
  return canonical.parses && canonical.tokens.length > 0;
}

/** Braces, environments and fences, \left ( and \right ), with the cells and rows between; commands, so that \{ is none. */
const PIECE =
  /\\(begin|end)\s*\{\s*([a-zA-Z]+\*?)\s*\}|\\(left|right)(?![a-zA-Z])\s*(\\[a-zA-Z]+|\\.|[^\s\\])|\\[a-zA-Z]+|\\.|[{}&]/gs;

type Kind = 'group' | 'rows' | 'fence';
const CLOSES: Readonly<Record<string, Kind>> = { '}': 'group', end: 'rows', right: 'fence' };

/**
 * The formula with every brace, \left and \begin closed within the cell or group that it stands in; an \end of another
 * name is taken for the one that is due.
 */
function mended(formula: string): string {
  const pieces = Array.from(formula.matchAll(PIECE));
  const open: { readonly kind: Kind; readonly closer: string }[] = [];
  const lastOpen = (kind: Kind): number => open.findLastIndex((one) => one.kind === kind);
  const out: string[] = [];
  const closeDownTo = (depth: number): void => {
    while (open.length > depth) out.push(` ${open.pop()!.closer} `);
  };
  /** how many environments those still to come will close, of what is open now */
  let ends = pieces.reduce((sum, [, edge]) => sum + (edge === 'end' ? 1 : edge === 'begin' ? -1 : 0), 0);
  let copied = 0;
  for (const match of pieces) {
    const [piece, edge, name, side, delimiter] = match;
    out.push(formula.slice(copied, match.index));
    copied = match.index + piece.length;
    if (edge) ends += edge === 'end' ? -1 : 1;
    const closes = CLOSES[edge ?? side ?? piece];
    if (closes) {
      const at = lastOpen(closes);
      const rows = open.filter(({ kind }) => kind === 'rows').length;
      // Out of rows that have their own end to come nothing is closed.
      const isStray = at < 0 || (closes !== 'rows' && at < lastOpen('rows') && ends >= rows);
      if (isStray) {
        if (side && delimiter !== '.') out.push(delimiter as string);
        continue;
      }
      closeDownTo(at + 1);
      const { closer } = open.pop()!;
      out.push(edge ? closer : piece);
    } else if (piece === '&' || piece === '\\\\') {
      const rows = lastOpen('rows');
      if (rows >= 0) closeDownTo(rows + 1);
      if (rows >= 0 || piece !== '&') out.push(piece);
    } else {
      if (piece === '{') open.push({ kind: 'group', closer: '}' });
      else if (edge) open.push({ kind: 'rows', closer: `\\end{${name}}` });
      else if (side) open.push({ kind: 'fence', closer: '\\right.' });
      out.push(piece);
    }
  }
  out.push(formula.slice(copied));
  closeDownTo(0);
  return out.join('').trim();
}
