// What a run says of itself when it starts: its own record, or the one it goes on with.
import { randomInt } from 'node:crypto';
import { basename } from 'node:path';
import { environment, gitState, hardware, thisProcess } from './machine.ts';
import type { RunMeta } from './reader.ts';
import type { RunOptions } from './run.ts';
import { type RunFile, SCHEMA_VERSION } from './schema.ts';

export async function freshMeta(folder: string, options: RunOptions, before: RunMeta | null): Promise<RunFile> {
  const now = new Date().toISOString();
  const [git, machine] = await Promise.all([gitState(process.cwd()), hardware()]);
  const step = options.resume ?? 0;
  return {
    schema: SCHEMA_VERSION,
    id: before?.id ?? newId(),
    name: options.name ?? before?.name ?? basename(folder),
    project: options.project ?? before?.project ?? 'texlens',
    tags: [...(options.tags ?? before?.tags ?? [])],
    notes: options.notes ?? before?.notes ?? '',
    status: 'running',
    error: null,
    createdAt: before?.createdAt ?? now,
    sessions: [...(before?.sessions ?? []), { startedAt: now, step }],
    heartbeat: now,
    endedAt: null,
    process: thisProcess(),
    step: options.resume ?? null,
    latest: before?.latest ?? {},
    summary: {},
    config: { ...(options.config ?? before?.config) },
    git,
    environment: environment(),
    hardware: machine,
    exports: { ...before?.exports },
  };
}

const LETTERS = '0123456789abcdefghijklmnopqrstuvwxyz';
const newId = (): string => Array.from({ length: 21 }, () => LETTERS[randomInt(36)]).join('');
