// Lists of formulas, one a line; which of them a sample draws, and in which of its looks.
import { readFileSync } from 'node:fs';
import { InputError, messageOf } from '../../shared/errors.ts';
import { foldKey, permuted } from '../../shared/random.ts';

const read = new Map<string, readonly string[]>();

/** The lines of all lists, one list after the other, without empty ones. A thread reads them once. */
export function formulasIn(lists: readonly string[]): readonly string[] {
  const key = lists.join('\0');
  let lines = read.get(key);
  if (lines === undefined) {
    lines = lists.flatMap(linesOf);
    read.set(key, lines);
  }
  return lines;
}

function linesOf(path: string): string[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new InputError(`${path}: cannot be read (${messageOf(error)}); expected a text file, one formula a line.`);
  }
  const lines = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  if (lines.length === 0) throw new InputError(`${path}: holds no formula; expected one a line.`);
  return lines;
}

export interface Mix {
  readonly seed: number;
  /** lists of formulas; without any, the grammar makes all */
  readonly formulas?: readonly string[];
  /** share of samples that the grammar makes beside lists; 0.1 unless told */
  readonly grammar?: number;
}

export interface Looks {
  /** pictures of each formula, each with a look of its own; 1 unless told */
  readonly looks?: number;
  /** how many samples after one look of a formula the next one comes */
  readonly apart?: number;
}

/**
 * Which formula sample `index` draws, counted from 0, and in which look. Of as many samples as two looks are apart a part
 * begin a new formula and the others go on with theirs, so that typesetting is spread evenly.
 */
export function lookOf({ looks = 1, apart = 1 }: Looks, index: number): { formula: number; look: number } {
  const slot = index % apart;
  const turn = Math.floor(index / apart) + (slot % looks);
  return { formula: Math.floor(turn / looks) * apart + slot, look: turn % looks };
}

const MIXING = 0x6d697831;
const SHUFFLING = 0x73687566;

/**
 * Which line of the lists formula `index` is; undefined when the grammar makes it. As many formulas as there are lines
 * take each line at most once (exactly once without the grammar), in an order of the seed's; then comes another order.
 */
export function formulaOf({ seed, formulas = [], grammar = 0.1 }: Mix, index: number): number | undefined {
  if (formulas.length === 0) return undefined;
  if (foldKey(MIXING, seed, index) < grammar * 4294967296) return undefined;
  const count = formulasIn(formulas).length;
  return permuted(index % count, count, foldKey(SHUFFLING, seed, Math.floor(index / count)));
}
