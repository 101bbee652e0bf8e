// What the tests of data sources share: four pictures with their texts, a fresh folder for every test, and how a source is
// opened and read.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeAll, beforeEach, expect } from 'vitest';
import type { Item, Source, SourceOptions } from '../../src/data/source.ts';
import { openSource } from '../../src/data/sources/index.ts';

export const TEXTS = ['x', '\\alpha', 'y ^ 2', '值'];

export interface SourceScene {
  readonly home: string;
  readonly pictures: Buffer[];
  /** a path in the folder */
  at(name: string): string;
  /** Holds a source to the four pictures and their texts, from every row on. */
  expectFour(source: Source): Promise<void>;
}

export function sourceScene(): SourceScene {
  const scene = {
    home: '',
    pictures: [] as Buffer[],
    at: (name: string): string => join(scene.home, name),
    async expectFour(source: Source): Promise<void> {
      expect(source.total).toBe(4);
      for (let from = 0; from <= 4; from++) {
        const rows = await rowsOf(source, from);
        expect(rows.map((row) => 'image' in row && [Buffer.from(row.image as Uint8Array), row.text])).toEqual(
          scene.pictures.map((picture, i) => [picture, TEXTS[i]]).slice(from),
        );
      }
    },
  };
  beforeAll(async () => {
    const paint = (width: number): Promise<Buffer> =>
      sharp({ create: { width, height: 20, channels: 3, background: '#a1b2c3' } })
        .png()
        .toBuffer();
    scene.pictures = await Promise.all([30, 40, 50, 60].map(paint));
  });
  beforeEach(async () => {
    scene.home = await mkdtemp(join(tmpdir(), 'texlens-sources-'));
  });
  afterEach(() => rm(scene.home, { recursive: true, force: true }));
  return scene;
}

/** Opens a source by what stands after --source. */
export const open = (spec: string, options: SourceOptions = {}): Promise<Source> => {
  const [name = '', ...path] = spec.split(':');
  return openSource(name, path.join(':'), options);
};

export async function rowsOf(source: Source, from = 0): Promise<Item[]> {
  const rows: Item[] = [];
  for await (const row of source.rows(from)) rows.push(row);
  return rows;
}

/** The names of the files that a source reads. */
export const names = async (source: Source): Promise<string[]> => (await source.files()).map(({ name }) => name);
