// What a run says of itself when it starts: its own record, or the one it goes on with.
import { randomInt } from 'node:crypto';
import { basename } from 'node:path';
import { environment, gitState, hardware, thisProcess } from './machine.ts';
import type { RunMeta } from './reader.ts';
import { type RunFile, SCHEMA_VERSION } from './schema.ts';

export interface About {
  /** default: the folder's name */
  readonly name?: string;
  readonly project?: string;
  readonly tags?: readonly string[];
  readonly notes?: string;
  readonly config?: Readonly<Record<string, unknown>>;
  /** go on with the run in the folder after this step; without it the folder's earlier records are replaced */
  readonly resume?: number;
}

export async function freshMeta(folder: string, about: About, before: RunMeta | null): Promise<RunFile> {
  const now = new Date().toISOString();
  const [git, machine] = await Promise.all([gitState(process.cwd()), hardware()]);
  const step = about.resume ?? 0;
  return {
    schema: SCHEMA_VERSION,
    id: before?.id ?? newId(),
    name: about.name ?? before?.name ?? basename(folder),
    project: about.project ?? before?.project ?? 'texlens',
    tags: [...(about.tags ?? before?.tags ?? [])],
    notes: about.notes ?? before?.notes ?? '',
    status: 'running',
    error: null,
    createdAt: before?.createdAt ?? now,
    sessions: [...(before?.sessions ?? []), { startedAt: now, step }],
    heartbeat: now,
    endedAt: null,
    process: thisProcess(),
    step: about.resume ?? null,
    latest: before?.latest ?? {},
    summary: {},
    config: { ...(about.config ?? before?.config) },
    git,
    environment: environment(),
    hardware: machine,
    exports: { ...before?.exports },
  };
}

const LETTERS = '0123456789abcdefghijklmnopqrstuvwxyz';
const newId = (): string => Array.from({ length: 21 }, () => LETTERS[randomInt(36)]).join('');
