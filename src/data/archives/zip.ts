// The files of a zip archive, by yauzl, which also holds names and sizes of local headers to the central directory.
import { buffer } from 'node:stream/consumers';
import { getFileNameLowLevel, openPromise, type ZipFile } from 'yauzl';
import { InputError, messageOf } from '../../shared/errors.ts';
import { type ArchiveEntry, type ArchiveLimits, checkName, entryBytes, refuse, UnpackedSize } from './entry.ts';

const TYPE_BITS = 0o170000;
const [REGULAR, DIRECTORY] = [0o100000, 0o040000];
const MADE_ON_UNIX = 3;

export async function* readZip(file: string, limits: ArchiveLimits): AsyncGenerator<ArchiveEntry> {
  let zip: ZipFile | undefined;
  try {
    // Without decodeStrings names are left to us, to be checked in the same words for every kind of archive.
    zip = await openPromise(file, { autoClose: false, decodeStrings: false, lazyEntries: true });
    const open = zip;
    const size = new UnpackedSize(file, zip.fileSize, limits);
    for await (const entry of zip.eachEntry()) {
      const { generalPurposeBitFlag: flags, fileNameRaw, extraFields, uncompressedSize: bytes } = entry;
      const name = getFileNameLowLevel(flags, fileNameRaw, extraFields, true);
      checkName(file, name);
      const type = (entry.externalFileAttributes >>> 16) & TYPE_BITS;
      if (entry.versionMadeBy >> 8 === MADE_ON_UNIX && type !== 0 && type !== REGULAR && type !== DIRECTORY)
        refuse(file, name, type === 0o120000 ? 'is a symbolic link' : 'is neither a file nor a folder');
      if (name.endsWith('/')) continue;
      if (entry.isEncrypted()) refuse(file, name, 'is encrypted');
      size.entry(name, bytes);
      size.add(bytes, name);
      yield {
        name,
        bytes,
        read: () => entryBytes(file, name, async () => buffer(await open.openReadStreamPromise(entry))),
      };
    }
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(`${file}: not a readable zip archive (${messageOf(error)}); fetch it again or pack it anew.`);
  } finally {
    zip?.close();
  }
}
