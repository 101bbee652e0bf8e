// Source `archive`: a zip or tar archive of images and one labels file (CSV, TSV or JSONL). It is read twice: once for
// the names and the labels, then as a stream; rows come in the order of the archive's entries.
import { posix } from 'node:path';
import { InputError } from '../../shared/errors.ts';
import { ARCHIVE_LIMITS, type ArchiveLimits, type ReadArchive } from '../archives/entry.ts';
import { readTar } from '../archives/tar.ts';
import { readZip } from '../archives/zip.ts';
import { type LabelRow, parseLabels } from '../conversation.ts';
import { inputFile } from '../input_file.ts';
import type { Item, Source, SourceOptions } from '../source.ts';
import { chooseLabels } from './folder.ts';

export async function open(
  path: string,
  { imageColumn, textColumn }: SourceOptions,
  limits: ArchiveLimits = ARCHIVE_LIMITS,
): Promise<Source> {
  const read = readerOf(path);
  const file = await inputFile(path, 'a .zip, .tar or .tar.gz archive of images and a labels file');
  // Of a name that comes again the last entry counts, as when a tar that was appended to is unpacked.
  const places = new Map<string, number>();
  const tables = new Map<string, string>();
  let count = 0;
  for await (const entry of read(path, limits)) {
    places.set(entry.name, count++);
    if (isTable(entry.name)) tables.set(entry.name, Buffer.from(await entry.read()).toString('utf8'));
  }
  const labels = chooseLabels(path, [...tables.keys()], null);
  const rows = parseLabels(`${path}:${labels}`, tables.get(labels)!, { image: imageColumn, text: textColumn });
  const byEntry = rowsByEntry(rows, [...places.keys()], posix.dirname(labels));
  return {
    options: { path, imageColumn, textColumn },
    files: async () => [file],
    total: rows.length,
    async *rows(from) {
      let i = 0;
      for (const { line, image, text } of byEntry.get(undefined) ?? [])
        if (i++ >= from)
          yield image === ''
            ? { where: `line ${line}`, unusable: 'no image path', detail: text }
            : { where: `line ${line}`, unusable: 'image not in the archive', detail: image };
      let place = 0;
      for await (const entry of read(path, limits)) {
        if (places.get(entry.name) !== place++) continue;
        const labelled = byEntry.get(entry.name) ?? [];
        const wanted = labelled.slice(Math.max(0, from - i));
        i += labelled.length;
        if (wanted.length === 0) continue;
        const image = await entry.read();
        yield* wanted.map(({ line, text }): Item => ({ where: `line ${line}`, image, text }));
      }
    },
  };
}

function readerOf(path: string): ReadArchive {
  if (/\.zip$/i.test(path)) return readZip;
  if (/\.(tar|tar\.gz|tgz)$/i.test(path)) return readTar;
  throw new InputError(`archive:${path}: expected a name that ends with .zip, .tar, .tar.gz or .tgz.`);
}

/** Finder's shadow files are no labels. */
const isTable = (name: string): boolean => /\.(csv|tsv|jsonl)$/i.test(name) && !/(^|\/)(__MACOSX\/|\._)/.test(name);

/** The rows of each entry; under undefined those whose image is not there. Paths count from the labels or the root. */
function rowsByEntry(
  rows: readonly LabelRow[],
  names: readonly string[],
  folder: string,
): Map<string | undefined, LabelRow[]> {
  // Systems differ in how they compose accents, in names as in texts.
  const plain = (name: string): string => posix.normalize(name).normalize('NFC');
  const known = new Map(names.map((name) => [plain(name), name]));
  const found = new Map<string | undefined, LabelRow[]>();
  for (const row of rows) {
    const entry =
      row.image === '' ? undefined : (known.get(plain(posix.join(folder, row.image))) ?? known.get(plain(row.image)));
    const own = found.get(entry);
    if (own) own.push(row);
    else found.set(entry, [row]);
  }
  return found;
}
