// GET /api/runs: every run of the folder, as the table shows them.
import { Hono } from 'hono';
import type { RunEntry } from '../../tracker/reader.ts';
import { fromValue, type Status } from '../../tracker/schema.ts';
import type { Library } from '../library.ts';

export interface RunSummary {
  readonly id: string;
  readonly path: string;
  readonly name: string;
  readonly project: string;
  readonly status: Status;
  readonly error: string | null;
  readonly tags: readonly string[];
  readonly notes: string;
  /** milliseconds since 1970 */
  readonly createdAt: number;
  /** the end, or the last sign of life */
  readonly lastAt: number;
  readonly step: number | null;
  /** the last value of every metric; null for NaN and infinities */
  readonly latest: Readonly<Record<string, number | null>>;
}

export const runs = (library: Library) =>
  new Hono().get('/runs', async (context) => {
    const { runs, damaged } = await library.list();
    const summaries = Array.from(runs, ([id, entry]) => summaryOf(id, entry));
    return context.json({ folder: library.root, runs: summaries, damaged: [...damaged] });
  });

export function summaryOf(id: string, { path, meta }: Pick<RunEntry, 'path' | 'meta'>): RunSummary {
  return {
    id,
    path,
    name: meta.name,
    project: meta.project,
    status: meta.status,
    error: meta.error,
    tags: meta.tags,
    notes: meta.notes,
    createdAt: Date.parse(meta.createdAt),
    lastAt: Date.parse(meta.endedAt ?? meta.heartbeat),
    step: meta.step,
    latest: finite(meta.latest),
  };
}

/** JSON has no NaN: null stands for what is no finite number. */
export function finite(values: Readonly<Record<string, unknown>>): Record<string, number | null> {
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => {
      const number = fromValue(value);
      return [key, number !== undefined && Number.isFinite(number) ? number : null];
    }),
  );
}
