// A piece of formula, and how pieces join.

/** A piece of formula: its tokens, and whether brackets round it must grow. */
export interface Piece {
  readonly tokens: readonly string[];
  readonly tall: boolean;
}

export const flat = (...tokens: readonly string[]): Piece => ({ tokens, tall: false });
export const join = (...pieces: readonly Piece[]): Piece => ({
  tokens: pieces.flatMap((piece) => piece.tokens),
  tall: pieces.some((piece) => piece.tall),
});
export const tall = (piece: Piece): Piece => ({ tokens: piece.tokens, tall: true });
export const braced = (piece: Piece): Piece => join(flat('{'), piece, flat('}'));

/** Functions that take limits, where they have scripts. */
const LIMITED: ReadonlySet<string> = new Set(['\\lim', '\\max', '\\min', '\\det']);
/** A function's name in canonical tokens; `scripted` where a script follows. */
export const named = (name: string, scripted: boolean): Piece =>
  flat(scripted && LIMITED.has(name) ? '\\operatorname*' : '\\operatorname', '{', ...name.slice(1), '}');
