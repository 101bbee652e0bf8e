// Lines are appended whole and in order, whatever the disk does meanwhile.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Appender } from './appender.ts';

it('a disk that fills up and has room again costs nothing but time', async () => {
  const home = await mkdtemp(join(tmpdir(), 'texlens-appender-'));
  const path = join(home, 'full.jsonl');
  const told: string[] = [];
  const file = await Appender.open(path, 'lines', (message) => told.push(message));
  const { handle } = file as unknown as { handle: { write: (...all: unknown[]) => Promise<unknown> } };
  const write = handle.write.bind(handle);
  file.push('{"first":1}\n');
  await file.flush();
  // Half of what is asked is written, then nothing more.
  handle.write = async (bytes, offset, length, position) => {
    await write(bytes, offset, Math.floor((length as number) / 2), position);
    throw new Error('ENOSPC: no space left on device');
  };
  file.push('{"second":2}\n');
  await file.flush();
  file.push('{"third":3}\n');
  await file.flush();
  expect(told).toEqual([expect.stringContaining('no space left'), expect.stringContaining('no space left')]);
  handle.write = write;
  await file.close();
  expect(await readFile(path, 'utf8')).toBe('{"first":1}\n{"second":2}\n{"third":3}\n');
  expect(file.lost).toBe(0);
  await rm(home, { recursive: true });
});
