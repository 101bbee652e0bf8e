// Images copied into a run, named after their content, so that the same image stands there once. They are kept as what
// any browser shows; TIFF becomes PNG.
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import sharp from 'sharp';
import { InputError, messageOf } from '../shared/errors.ts';
import { FILES } from './schema.ts';

/** First bytes, as Latin-1. What a file is called plays no part. */
const KINDS: readonly (readonly [extension: string, starts: (bytes: string) => boolean])[] = [
  ['png', (bytes) => bytes.startsWith('\x89PNG\r\n\x1a\n')],
  ['jpg', (bytes) => bytes.startsWith('\xff\xd8\xff')],
  ['gif', (bytes) => bytes.startsWith('GIF87a') || bytes.startsWith('GIF89a')],
  ['webp', (bytes) => bytes.startsWith('RIFF') && bytes.startsWith('WEBP', 8)],
  ['tif', (bytes) => bytes.startsWith('II*\0') || bytes.startsWith('MM\0*')],
];

export class Media {
  private readonly folder: string;
  /** path, size and time of a source → its name here */
  private readonly known = new Map<string, string>();
  private copies = 0;

  constructor(run: string) {
    this.folder = join(run, FILES.media);
  }

  /** Copies an image in and returns its name; an InputError says why it cannot be. */
  async add(source: string): Promise<string> {
    try {
      const { size, mtimeMs } = await stat(source);
      const identity = `${size} ${mtimeMs} ${source}`;
      const before = this.known.get(identity);
      if (before !== undefined) return before;
      const original = await readFile(source);
      const start = original.toString('latin1', 0, 16);
      const kind = KINDS.find(([, starts]) => starts(start))?.[0];
      if (kind === undefined)
        throw new Error(`expected an image (${KINDS.map(([name]) => name).join(', ')}), got other bytes`);
      const [bytes, extension] = kind === 'tif' ? [await sharp(original).png().toBuffer(), 'png'] : [original, kind];
      const name = `${createHash('sha256').update(bytes).digest('hex').slice(0, 16)}.${extension}`;
      const file = join(this.folder, name);
      if ((await stat(file).catch(() => null))?.size !== bytes.length) {
        await mkdir(this.folder, { recursive: true });
        const temporary = `${file}.${++this.copies}.tmp`;
        await writeFile(temporary, bytes);
        await rename(temporary, file);
      }
      this.known.set(identity, name);
      return name;
    } catch (error) {
      throw new InputError(`${basename(source)}: cannot be copied into the run (${messageOf(error)})`);
    }
  }
}
