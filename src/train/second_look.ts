// The second look at readings that are no formulas: how often, and what tells that one is none.
import { parsing } from '../eval/syntax.ts';
import type { Tokenizer } from '../formats/tokenizer.ts';
import type { SecondLook } from '../generate/second_look.ts';

/** What --second-look and --no-second-look say of themselves. */
export const SECOND_LOOK_HELP =
  'read what KaTeX cannot parse n times more and take the most confident reading that parses, brackets closed where need ' +
  'be; 0 only closes them; by default 4 where the model’s tokenizer is one of LaTeX words, else no second look';
export const NO_SECOND_LOOK_HELP = 'take first readings as they are';

const SAMPLES = 4;

/** By the flag: a number of samples, false for no second look, or undefined for what suits the model. */
export function secondLookOf(flag: number | false | undefined, tokenizer: Tokenizer): SecondLook | undefined {
  const samples = flag ?? (tokenizer.spacesWords && SAMPLES);
  return samples === false ? undefined : { samples, mend: parsing };
}
