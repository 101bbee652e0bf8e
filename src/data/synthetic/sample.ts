// Sample i of the synthetic source: a formula and its picture, a function of the options and i alone, whatever the number
// of workers or the order.
import type { Pixels } from '../../formats/png.ts';
import { RunError } from '../../shared/errors.ts';
import { Random } from '../../shared/random.ts';
import { formulaOf, formulasIn, type Looks, lookOf, type Mix } from './formula_lists.ts';
import { type Level, makeFormula, tokensOf } from './grammar.ts';
import type { Look } from './look.ts';
import { draw } from './picture.ts';
import { inkBox, joined, type Typeset } from './placed.ts';
import { STYLE_SETS, type StyleName } from './style.ts';
import { typesetAnew, typesetOnce } from './typeset_cache.ts';
import { vary } from './vary.ts';

export interface DrawOptions extends Mix, Looks {
  /** share of the lists' samples whose formula is a variation of its line (vary.ts); 0 unless told */
  readonly varied?: number;
  readonly style: StyleName;
  /** of the grammar's formulas */
  readonly level: Level;
}

export interface DrawnSample extends Pixels {
  readonly latex: string;
}

/** A formula that is no sample. */
export interface Undrawn {
  /** a few words that are the same for all formulas of this fault */
  readonly fault: string;
  /** the formula, and what is wrong with it */
  readonly detail: string;
}

/** A letter of the seed's key for this source, so that other users of the seed draw other bits. */
const STREAM = 0x73796e74;
const ATTEMPTS = 200;
/** Letters that look alike without feet, outside of commands' names. */
const ALIKE = /(?<!\\[a-zA-Z]*)[lI]/;
/** Wider formulas have no equation number beside them; the two might not fit. */
const NUMBERED_WIDTH = 40_000;

/**
 * Sample `index`: a formula that fits the picture, and the picture. A line of the lists that cannot be drawn makes way for
 * the next one; `skipped` counts such lines.
 */
export async function drawSample(options: DrawOptions, index: number): Promise<DrawnSample & { skipped: number }> {
  const drawing = drawingOf(options, index);
  const { line } = drawing;
  let last: Undrawn | undefined;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const drawn = await attemptSample(options, drawing, attempt);
    if (!('fault' in drawn)) return { ...drawn, skipped: line === undefined ? 0 : attempt };
    last = drawn;
  }
  const hint = line === undefined ? 'try another --seed' : 'look at the lists of formulas';
  throw new RunError(
    `synthetic sample ${index}: no formula of ${ATTEMPTS} can be drawn; ${hint}. The last is a ${last!.fault}: ${last!.detail}`,
  );
}

/** Sample `index`, or why its line of the lists cannot be drawn: for data sets that must not draw another line twice. */
export async function drawLine(options: DrawOptions, index: number): Promise<DrawnSample | Undrawn> {
  const drawing = drawingOf(options, index);
  return drawing.line === undefined ? drawSample(options, index) : attemptSample(options, drawing, 0);
}

/** A formula by its number, its line in the lists, and which of its looks. */
interface Drawing {
  readonly formula: number;
  readonly line: number | undefined;
  readonly look: number;
}

function drawingOf(options: DrawOptions, index: number): Drawing {
  const { formula, look } = lookOf(options, index);
  return { formula, look, line: formulaOf(options, formula) };
}

async function attemptSample(
  options: DrawOptions,
  { formula: number, line, look: turn }: Drawing,
  attempt: number,
): Promise<DrawnSample | Undrawn> {
  let random = Random.from(STREAM, options.seed, number, attempt);
  const listed = line === undefined ? makeFormula(random, options.level) : lineAt(options, line + attempt);
  const isVaried = line !== undefined && random.float() < (options.varied ?? 0);
  const latex = isVaried ? varied(options, listed, random) : listed;
  // What is drawn once need not be kept.
  const set = isVaried && (options.looks ?? 1) === 1 ? typesetAnew : typesetOnce;
  const styles = STYLE_SETS[options.style];
  let look = styles.look(random);
  if (turn > 0) {
    random = Random.from(STREAM, options.seed, number, attempt, turn);
    // Looks of a formula have the first one's font, for another has to be set anew.
    look = { ...styles.look(random), font: look.font };
  }
  // Half of the hands write plain letters, without the feet and hooks of a printed italic.
  const plain = look.hand !== undefined && random.float() < 0.5 && !ALIKE.test(latex);
  let formula = await set(plain ? `\\mathsf { ${latex} }` : latex, look.font);
  // A font may lack a glyph.
  if ('fault' in formula) formula = await set(latex, 'modern');
  if ('fault' in formula) return { fault: 'formula that cannot be set', detail: formula.fault };
  const limits = (options.level === 'hard' ? styles.limitsHard : undefined) ?? styles.limits;
  const page = await numbered(formula, look);
  const picture = draw(page, look, limits, random, await wordsOf(look));
  if (picture === undefined)
    return {
      fault: 'formula too large for the picture',
      detail: `${latex} in ${limits.width[1]} × ${limits.height[1]} pixels`,
    };
  return { latex, ...picture };
}

/** A variation of a line; a random other one lends its parts. */
function varied(options: DrawOptions, latex: string, random: Random): string {
  const other = lineAt(options, random.int(2 ** 31));
  return vary(tokensOf(latex), tokensOf(other), random).join(' ');
}

function lineAt({ formulas = [] }: DrawOptions, line: number): string {
  const lines = formulasIn(formulas);
  return lines[line % lines.length]!;
}

/** The formula with its number at the right, level with its axis. */
async function numbered(formula: Typeset, { surroundings, font }: Look): Promise<Typeset> {
  if (surroundings.number === undefined) return formula;
  const number = await typesetOnce(surroundings.number.latex, font);
  const box = inkBox(formula);
  if ('fault' in number || box === undefined || box.right - box.left > NUMBERED_WIDTH) return formula;
  return joined(formula, number, box.right + surroundings.number.gap, 0);
}

async function wordsOf({ surroundings, font }: Look): Promise<Typeset | undefined> {
  if (surroundings.words === undefined) return undefined;
  const words = await typesetOnce(surroundings.words.latex, font);
  return 'fault' in words ? undefined : words;
}
