// Edit distances (Levenshtein: insert, delete, replace, each 1), over characters or over tokens.
import { distance } from 'fastest-levenshtein';

/** Levenshtein distance over code points / the longer length, of the texts as given; two empty texts give 0. */
export function editDistance(truth: string, prediction: string): number {
  const a = Array.from(truth);
  const b = Array.from(prediction);
  const longer = Math.max(a.length, b.length);
  return longer === 0 ? 0 : tokenErrors(a, b) / longer;
}

/** How many tokens have to be inserted, deleted or replaced to make one list the other. */
export function tokenErrors(truth: readonly string[], prediction: readonly string[]): number {
  // One UTF-16 unit stands for a token: equality is all that a distance needs.
  const names = new Map<string, string>();
  const rename = (token: string): string => {
    const name = names.get(token) ?? String.fromCharCode(names.size);
    names.set(token, name);
    return name;
  };
  return distance(truth.map(rename).join(''), prediction.map(rename).join(''));
}
