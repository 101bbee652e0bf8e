// The files of a tar archive, packed by gzip or not, as a stream.
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { ReadableStream } from 'node:stream/web';
import { createGunzip } from 'node:zlib';
import { createTarDecoder } from 'modern-tar';
import { InputError, messageOf } from '../../shared/errors.ts';
import { type ArchiveEntry, type ArchiveLimits, checkName, entryBytes, refuse, UnpackedSize } from './entry.ts';

export async function* readTar(file: string, limits: ArchiveLimits): AsyncGenerator<ArchiveEntry> {
  const source = createReadStream(file, { highWaterMark: 1 << 20 });
  try {
    const { size: packed } = await stat(file);
    const size = new UnpackedSize(file, packed, limits);
    let last = '';
    async function* unpacked(): AsyncGenerator<Uint8Array> {
      const gunzip = createGunzip({ chunkSize: 1 << 18 });
      source.on('error', (error) => gunzip.destroy(error));
      for await (const chunk of source.pipe(gunzip) as AsyncIterable<Buffer>) {
        size.add(chunk.length, last);
        yield chunk;
      }
    }
    const bytes = Readable.from(/\.t?gz$/i.test(file) ? unpacked() : source);
    const web = Readable.toWeb(bytes) as unknown as globalThis.ReadableStream<Uint8Array>;
    const entries = web.pipeThrough(createTarDecoder({ strict: true }));
    for await (const { header, body } of entries as unknown as AsyncIterable<{
      header: { name: string; size: number; type?: string };
      body: ReadableStream<Uint8Array>;
    }>) {
      const { name, type = 'file' } = header;
      last = name;
      checkName(file, name);
      if (type !== 'file' && type !== 'directory')
        refuse(file, name, /link/.test(type) ? `is a ${type === 'link' ? 'hard' : 'symbolic'} link` : `is a ${type}`);
      size.entry(name, header.size);
      let taken = false;
      if (type === 'file') {
        const read = async (): Promise<Uint8Array> => {
          taken = true;
          return entryBytes(file, name, () => buffer(body));
        };
        yield { name, bytes: header.size, read };
      }
      if (!taken) await body.cancel();
    }
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(`${file}: not a readable tar archive (${messageOf(error)}); fetch it again or pack it anew.`);
  } finally {
    source.destroy();
  }
}
