// Searching and sorting the runs table.
import type { RunSummary } from '../lib/api.ts';

export interface Order {
  /** 'name', 'status', 'createdAt', 'duration', 'step' or `metric:KEY` */
  readonly by: string;
  readonly descending: boolean;
}

/** Every word must stand somewhere in the name, path, project, tags, notes or status. */
export function search(
  runs: readonly RunSummary[],
  text: string,
  statusName: (run: RunSummary) => string,
): RunSummary[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return [...runs];
  return runs.filter((run) => {
    const hay = [run.name, run.path, run.project, ...run.tags, run.notes, run.status, statusName(run), run.id]
      .join('\n')
      .toLowerCase();
    return words.every((word) => hay.includes(word));
  });
}

/** Runs without the value stand last, whichever way the order goes; equals keep theirs. */
export function sorted(runs: readonly RunSummary[], { by, descending }: Order): RunSummary[] {
  const sign = descending ? -1 : 1;
  const keyed = runs.map((run) => ({ run, key: keyOf(run, by) }));
  keyed.sort((a, b) => {
    if (a.key === null || b.key === null) return a.key === b.key ? 0 : a.key === null ? 1 : -1;
    if (typeof a.key === 'string' && typeof b.key === 'string')
      return sign * a.key.localeCompare(b.key, undefined, { numeric: true });
    return sign * (Number(a.key) - Number(b.key));
  });
  return keyed.map(({ run }) => run);
}

export const durationOf = (run: RunSummary, now: number): number =>
  Math.max(0, (run.status === 'running' ? now : run.lastAt) - run.createdAt);

function keyOf(run: RunSummary, by: string): string | number | null {
  if (by.startsWith('metric:')) return run.latest[by.slice('metric:'.length)] ?? null;
  if (by === 'name') return run.name;
  if (by === 'status') return run.status;
  if (by === 'step') return run.step;
  if (by === 'duration') return durationOf(run, Date.now());
  return run.createdAt;
}
