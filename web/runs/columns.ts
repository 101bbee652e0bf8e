// Which metrics stand as columns of the runs table: the reader's choice, else the ones that tell most.

import type { RunSummary } from '../lib/api.ts';
import { isStringList, stored } from '../lib/stored.ts';

/** Empty: the reader has not chosen. */
export const chosenColumns = stored<string[]>('columns', [], isStringList);

const PREFERRED = [/(^|\/)loss$/i, /exact.?match/i, /edit.?distance/i, /cdm|bleu/i, /eval.*loss/i];
const MOST_BY_DEFAULT = 4;

export function metricKeys(runs: readonly RunSummary[]): string[] {
  const keys = new Set<string>();
  for (const run of runs) for (const key of Object.keys(run.latest)) keys.add(key);
  return [...keys].sort();
}

export function shownColumns(keys: readonly string[], chosen: readonly string[]): string[] {
  const there = chosen.filter((key) => keys.includes(key));
  if (there.length > 0) return there;
  const picked = PREFERRED.flatMap((pattern) => keys.filter((key) => pattern.test(key)));
  return [...new Set([...picked, ...keys])].slice(0, MOST_BY_DEFAULT);
}
