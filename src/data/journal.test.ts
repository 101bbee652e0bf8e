// The journal of finished rows after a loss of power, which unlike a kill may leave bytes that nobody wrote.
import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Finished } from './inspect.ts';
import { Journal } from './journal.ts';

it('keeps the rows before what cannot be read, and goes on from there', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'texlens-journal-'));
  const file = join(folder, 'journal.jsonl');
  const row = (dropped: string): Finished => ({ dropped, detail: '' });
  const first = Journal.open(file);
  first.append([row('one'), row('two')]);
  first.close();
  await appendFile(file, `${'\0'.repeat(40)}\n${JSON.stringify(row('lost'))}\n`);
  const second = Journal.open(file);
  const rows: Finished[] = [];
  second.replay((found) => rows.push(found) > 0);
  expect(rows).toEqual([row('one'), row('two')]);
  second.append([row('three')]);
  expect(second.length).toBe(3);
  second.close();
  const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line) as Finished)).toEqual([row('one'), row('two'), row('three')]);
  await rm(folder, { recursive: true });
});
