// What archives give, and what is refused in them. Nothing is ever unpacked to an entry's own name; hostile archives are
// refused all the same, for what names a path outside has no business among training data.
import { pathFault } from '../../hub/names.ts';
import { InputError, messageOf } from '../../shared/errors.ts';

export interface ArchiveEntry {
  readonly name: string;
  readonly bytes: number;
  /** The content; to be asked for before the next entry is. */
  read(): Promise<Uint8Array>;
}

/** The files of an archive in their order. */
export type ReadArchive = (file: string, limits: ArchiveLimits) => AsyncGenerator<ArchiveEntry>;

/** Against decompression bombs. */
export interface ArchiveLimits {
  /** of one entry, unpacked */
  readonly entryBytes: number;
  /** an archive that unpacks to more than `totalBytes` and to more than `ratio` times its own size is refused */
  readonly totalBytes: number;
  readonly ratio: number;
}

export const ARCHIVE_LIMITS: ArchiveLimits = { entryBytes: 256 << 20, totalBytes: 2 ** 30, ratio: 100 };

/** Throws an InputError that names an entry which no honest archive holds. */
export function checkName(file: string, name: string): void {
  // Folders end with a slash, and `tar -C folder .` starts every name with a dot.
  const path = name.replace(/^(\.\/)+/, '').replace(/\/$/, '');
  const fault = path === '' ? undefined : pathFault(path);
  if (fault !== undefined) refuse(file, name, fault);
}

/** Holds what an archive unpacks to against its size. */
export class UnpackedSize {
  private total = 0;
  constructor(
    private readonly file: string,
    private readonly packed: number,
    private readonly limits: ArchiveLimits,
  ) {}

  entry(name: string, bytes: number): void {
    const { entryBytes } = this.limits;
    if (bytes > entryBytes)
      refuse(this.file, name, `unpacks to ${bytes} bytes, more than the ${entryBytes} of one entry`);
  }

  add(bytes: number, name: string): void {
    this.total += bytes;
    const { totalBytes, ratio } = this.limits;
    if (this.total > totalBytes && this.total > ratio * this.packed)
      refuse(this.file, name, `brings what is unpacked to ${this.total} bytes, over ${ratio} times the archive`);
  }
}

export function refuse(file: string, name: string, fault: string): never {
  // As JSON, so that a hostile name cannot write to the terminal.
  throw new InputError(`${file}: the entry ${JSON.stringify(name)} ${fault}; the archive is refused.`);
}

/** The bytes of an entry, or an InputError that names it. */
export async function entryBytes(file: string, name: string, read: () => Promise<Uint8Array>): Promise<Uint8Array> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(
      `${file}: the entry ${JSON.stringify(name)} cannot be unpacked (${messageOf(error)}); fetch the archive again.`,
    );
  }
}
