// The journal of a partial file: what counts after a kill, and which parts are then missing.
import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Journal, missingParts, readJournal } from './journal.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'texlens-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const identity = { size: 100, digest: 'aa' };

describe('Journal', () => {
  it('keeps ranges and the tag, and goes on after a line cut short', async () => {
    const file = join(folder, 'j');
    const first = await Journal.open(file, identity);
    await first.setEtag('tag');
    await first.addRange(50, 60);
    await first.addRange(0, 10);
    await first.close();
    await appendFile(file, '[10,2');
    const second = await Journal.open(file, identity);
    expect([second.ranges, second.etag]).toEqual([
      [
        [0, 10],
        [50, 60],
      ],
      'tag',
    ]);
    await second.addRange(10, 50);
    await second.close();
    expect(await readJournal(file, identity)).toEqual({ ranges: [[0, 60]], etag: 'tag' });
  });

  it('counts for nothing when the content is another', async () => {
    const file = join(folder, 'j');
    const first = await Journal.open(file, identity);
    await first.addRange(0, 10);
    await first.close();
    expect(await readJournal(file, { size: 100, digest: 'bb' })).toEqual({ ranges: [] });
    expect(await readJournal(file, { size: 101, digest: 'aa' })).toEqual({ ranges: [] });
    await (await Journal.open(file, { size: 101 })).close();
    expect(await readFile(file, 'utf8')).toBe('{"size":101}\n');
  });

  it('ignores ranges that cannot be', async () => {
    const file = join(folder, 'j');
    await (await Journal.open(file, identity)).close();
    await appendFile(file, '[5,5]\n[-1,4]\n[90,101]\n["a",3]\nnonsense\n[20,30]\n');
    expect((await readJournal(file, identity)).ranges).toEqual([[20, 30]]);
  });
});

describe('missingParts', () => {
  it.each([
    [[], 0, []],
    [
      [],
      25,
      [
        [0, 10],
        [10, 20],
        [20, 25],
      ],
    ],
    [[[0, 25]], 25, []],
    [
      [
        [5, 8],
        [20, 21],
      ],
      25,
      [
        [0, 5],
        [8, 18],
        [18, 20],
        [21, 25],
      ],
    ],
  ] as const)('%j of %d', (ranges, size, expected) => {
    expect(missingParts(ranges, size, 10)).toEqual(expected);
  });
});
