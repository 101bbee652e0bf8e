// A run that stands in the store, written once more by an exporter.
import { InputError } from '../../shared/errors.ts';
import { EXPORTERS, type ExporterName } from '../exporters/index.ts';
import { readMeta } from '../reader.ts';
import type { RunFile } from '../schema.ts';
import type { ExportSettings } from './contract.ts';
import { replay } from './replay.ts';

/** Exports a run as it stands; returns where to, and what the exporter has to say. */
export async function exportRun(
  folder: string,
  name: ExporterName,
  settings: ExportSettings,
): Promise<{ place: string; notes: readonly string[] }> {
  const meta = await readMeta(folder);
  if (!meta) throw new InputError(`${folder}: is no run; texlens runs list shows the runs`);
  if (meta.status === 'running' && name === 'swanlab-cloud')
    throw new InputError(`${folder}: is still being written; export it to ${name} when it has ended`);
  // A crashed run's own last word is that it runs; exporters give it no end, or a crash.
  const run: RunFile = { ...meta, status: meta.status === 'crashed' ? 'running' : meta.status };
  const notes: string[] = [];
  const open = await EXPORTERS[name]();
  const tell = (message: string) => void notes.push(message);
  const exporter = await open({ folder, run, history: () => replay(folder), settings, tell });
  notes.push(...(await exporter.finish(run)));
  return { place: exporter.place, notes };
}
