// A run that stands in the store, as the items an exporter would have got while it was written.
import { join } from 'node:path';
import { LineReader } from '../lines.ts';
import { jsonOrNull, RunReader } from '../reader.ts';
import { ConsoleLine, FILES } from '../schema.ts';
import type { Item } from './contract.ts';

/** What a resumed run wrote twice comes once: what was lost with the process is left out. */
export async function* replay(folder: string): AsyncGenerator<Item> {
  const run = await RunReader.open(folder);
  for (const row of run.rows()) yield { kind: 'scalars', ...row };
  for (const event of run.events()) yield { kind: 'event', event };
  for (const { time, values } of run.systemRows()) yield { kind: 'system', time, values };
  const lines: Item[] = [];
  await new LineReader(join(folder, FILES.console)).read((text) => {
    const line = ConsoleLine.safeParse(jsonOrNull(text));
    if (line.success) lines.push({ kind: 'console', ...line.data });
  });
  yield* lines;
}
