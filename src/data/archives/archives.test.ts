// Archives that honest tools do not write are refused with the entry's name; honest ones come through, also large ones.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32, deflateRawSync, gzipSync } from 'node:zlib';
import { packTar, type TarHeader } from 'modern-tar';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InputError } from '../../shared/errors.ts';
import { ARCHIVE_LIMITS, type ArchiveLimits, type ReadArchive } from './entry.ts';
import { readTar } from './tar.ts';
import { readZip } from './zip.ts';

let home = '';
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'texlens-archives-'));
});
afterAll(() => rm(home, { recursive: true, force: true }));

interface Packed {
  readonly name: string;
  readonly body?: Buffer;
  /** Unix mode bits of the entry */
  readonly mode?: number;
  /** what the archive says of the size, when that is not true */
  readonly claimed?: number;
  readonly encrypted?: boolean;
}

/** A zip writer that writes what it is told, lies included. */
function zip(entries: readonly Packed[]): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, body = Buffer.alloc(0), mode = 0o100644, claimed = body.length, encrypted } of entries) {
    const title = Buffer.from(name);
    const data = deflateRawSync(body);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(0x800 | (encrypted ? 1 : 0), 2);
    common.writeUInt16LE(8, 4);
    common.writeUInt32LE(checksum(body), 10);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(claimed, 18);
    common.writeUInt16LE(title.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, title, data]);
    const made = Buffer.from([20, 3]);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE((mode << 16) >>> 0, 6);
    rest.writeUInt32LE(offset, 10);
    directory.push(Buffer.from('PK\x01\x02'), made, common, rest, title);
    parts.push(local);
    offset += local.length;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(entries.length, 4);
  end.writeUInt16LE(entries.length, 6);
  end.writeUInt32LE(central.length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...parts, central, Buffer.from('PK\x05\x06'), end]);
}

/** node:zlib has crc32 from 22.2 on; yauzl does not look at it. */
const checksum = (body: Buffer): number => (typeof crc32 === 'function' ? crc32(body) : 0);

const tarOf = async (name: string, header: Partial<TarHeader> = {}): Promise<Buffer> =>
  Buffer.from(await packTar([{ header: { name, size: 1, ...header }, body: header.size === 0 ? undefined : 'x' }]));

let made = 0;
async function read(reader: ReadArchive, ending: string, bytes: Buffer, limits: ArchiveLimits = ARCHIVE_LIMITS) {
  const file = join(home, `${made++}${ending}`);
  await writeFile(file, bytes);
  const found: [string, string][] = [];
  for await (const entry of reader(file, limits)) found.push([entry.name, Buffer.from(await entry.read()).toString()]);
  return found;
}

async function expectRefused(attempt: Promise<unknown>, name: string, fault: RegExp): Promise<void> {
  await expect(attempt).rejects.toThrow(InputError);
  await expect(attempt).rejects.toThrow(JSON.stringify(name));
  await expect(attempt).rejects.toThrow(fault);
}

describe.each([
  ['../out.png', /leaves its folder/],
  ['a/../../out.png', /leaves its folder/],
  ['/etc/passwd', /is absolute/],
  ['C:/windows/a.png', /is absolute/],
  ['c:a.png', /is absolute/],
  ['a/NUL', /names a device/],
  ['aux.png', /names a device/],
  ['COM1.tar.gz', /names a device/],
  ['a\\..\\..\\b', /backslash/],
  ['a. /b.png', /ends in a dot or a space/],
  ['a\u001b[2J.png', /control characters/],
  ['a\nb.png', /control characters/],
])('an entry named %j', (name, fault) => {
  it('is refused in tar', async () => expectRefused(read(readTar, '.tar', await tarOf(name)), name, fault));
  it('is refused in zip', () => expectRefused(read(readZip, '.zip', zip([{ name }])), name, fault));
});

it.each([
  ['symlink', { type: 'symlink', linkname: '/etc/passwd', size: 0 }, /symbolic link/],
  ['hard link', { type: 'link', linkname: '/etc/passwd', size: 0 }, /hard link/],
  ['device', { type: 'character-device', size: 0 }, /is a character-device/],
  ['fifo', { type: 'fifo', size: 0 }, /is a fifo/],
] as const)('a %s is refused', async (name, header, fault) => {
  await expectRefused(read(readTar, '.tar', await tarOf('a.png', header)), 'a.png', fault);
  if (name !== 'symlink') return;
  const link = zip([{ name: 'a.png', mode: 0o120777, body: Buffer.from('/etc/passwd') }]);
  await expectRefused(read(readZip, '.zip', link), 'a.png', fault);
});

describe('decompression bombs', () => {
  const limits = { entryBytes: 50_000, totalBytes: 100_000, ratio: 10 };
  const zeros = Buffer.alloc(40_000);

  it('are refused by the size of an entry', async () => {
    const large = Buffer.alloc(60_000);
    await expectRefused(
      read(readZip, '.zip', zip([{ name: 'a', body: large }]), limits),
      'a',
      /unpacks to 60000 bytes/,
    );
    const tar = await packTar([{ header: { name: 'a', size: large.length }, body: new Uint8Array(large) }]);
    await expectRefused(read(readTar, '.tgz', gzipSync(tar), limits), 'a', /unpacks to 60000 bytes/);
  });

  it('are refused by the size of all', async () => {
    const entries = ['a', 'b', 'c'].map((name) => ({ name, body: zeros }));
    await expectRefused(read(readZip, '.zip', zip(entries), limits), 'c', /over 10 times the archive/);
    const tar = await packTar(
      entries.map(({ name, body }) => ({ header: { name, size: body.length }, body: new Uint8Array(body) })),
    );
    await expect(read(readTar, '.tgz', gzipSync(tar), limits)).rejects.toThrow(
      /over 10 times the archive; the archive is refused/,
    );
    // Not packed, the same is no bomb.
    expect(await read(readTar, '.tar', Buffer.from(tar), limits)).toHaveLength(3);
  });

  it('that lie about their size give no more than they claimed', async () => {
    const lie = zip([{ name: 'a', body: zeros, claimed: 100 }]);
    await expectRefused(read(readZip, '.zip', lie, limits), 'a', /cannot be unpacked \(too many bytes/);
  });
});

it('an encrypted entry is refused', async () => {
  await expectRefused(read(readZip, '.zip', zip([{ name: 'a.png', encrypted: true }])), 'a.png', /encrypted/);
});

it('honest archives come through, names of any script too', async () => {
  const entries = [
    { name: 'bilder/', mode: 0o40755 },
    { name: 'bilder/größe 公式.png', body: Buffer.from('one') },
    { name: 'console/nullable.png', body: Buffer.from('two') },
    { name: 'a..b/…/c.png', body: Buffer.alloc(300_000, 'abc') },
  ];
  const files = entries.slice(1).map(({ name, body }) => [name, body!.toString()]);
  expect(await read(readZip, '.zip', zip(entries))).toEqual(files);
  const tar = await packTar(
    entries.map(({ name, body }) => ({
      header: { name, size: body?.length ?? 0, type: body ? ('file' as const) : ('directory' as const) },
      body: body && new Uint8Array(body),
    })),
  );
  expect(await read(readTar, '.tar.gz', gzipSync(tar))).toEqual(files);
});

it('entries may be passed over unread', async () => {
  const body = new Uint8Array(500_000);
  const names = ['a', 'b', 'c'];
  const tar = await packTar(names.map((name) => ({ header: { name, size: body.length }, body })));
  const file = join(home, 'skip.tar');
  await writeFile(file, tar);
  const seen: string[] = [];
  for await (const entry of readTar(file, ARCHIVE_LIMITS)) seen.push(entry.name);
  expect(seen).toEqual(names);
});
