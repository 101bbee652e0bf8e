// The reader against libvips (through sharp) on pictures of every kind it takes, with every filter; damaged files and
// other kinds are left to sharp.
import { deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { crc32 } from '../shared/crc32.ts';
import { Random } from '../shared/random.ts';
import { decodePng, encodePng } from './png.ts';

const chunk = (name: string, data: Buffer): Buffer => {
  const named = Buffer.concat([Buffer.from(name, 'latin1'), data]);
  const out = Buffer.alloc(named.length + 8);
  out.writeUInt32BE(data.length, 0);
  named.copy(out, 4);
  out.writeUInt32BE(crc32(named), named.length + 4);
  return out;
};

interface Kind {
  readonly kind: number;
  readonly bits: number;
  readonly channels: number;
}

/** Any bytes behind any filters are some picture. */
function noise({ kind, bits, channels }: Kind, width: number, height: number, random: Random, parts = 1): Buffer {
  const stride = Math.ceil((width * channels * bits) / 8);
  const raw = Buffer.from(Array.from({ length: (stride + 1) * height }, () => random.int(256)));
  for (let y = 0; y < height; y++) raw[y * (stride + 1)] = random.int(5);
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([bits, kind], 8);
  const data = deflateSync(raw);
  const cut = Math.ceil(data.length / parts);
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    ...(kind === 3 ? [chunk('PLTE', Buffer.from(Array.from({ length: 3 << bits }, () => random.int(256))))] : []),
    ...Array.from({ length: parts }, (_, i) => chunk('IDAT', data.subarray(i * cut, (i + 1) * cut))),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

const KINDS: Kind[] = [
  ...[1, 2, 4, 8].map((bits) => ({ kind: 0, bits, channels: 1 })),
  ...[1, 2, 4, 8].map((bits) => ({ kind: 3, bits, channels: 1 })),
  ...[2, 4, 6].map((kind, i) => ({ kind, bits: 8, channels: [3, 2, 4][i]! })),
];

describe('decodePng', () => {
  it.each(KINDS)('reads kind $kind of $bits bits as libvips does', async (kind) => {
    for (const [width, height] of [
      [1, 1],
      [3, 5],
      [17, 9],
      [64, 40],
    ] as const) {
      const file = noise(kind, width, height, Random.from(kind.kind, kind.bits, width), width % 3 === 0 ? 3 : 1);
      const read = decodePng(file)!;
      expect(read).toMatchObject({ width, height });
      const { data, info } = await sharp(file).toColourspace('srgb').raw().toBuffer({ resolveWithObject: true });
      // libvips spreads grey over three channels.
      const alpha = read.channels % 2 === 0;
      const colours = read.channels < 3 ? [0, 0, 0] : [0, 1, 2];
      const at = [...colours, ...(alpha ? [read.channels - 1] : [])];
      expect(info.channels).toBe(at.length);
      const spread = Buffer.from(
        Array.from({ length: width * height }, (_, i) => at.map((c) => read.data[i * read.channels + c]!)).flat(),
      );
      expect(Buffer.compare(data, spread), `${width}×${height}`).toBe(0);
    }
  });

  it('reads what encodePng writes', () => {
    const random = Random.from(9);
    for (const channels of [1, 3] as const) {
      const pixels = Uint8Array.from({ length: 20 * 10 * channels }, () => random.int(256));
      expect(decodePng(encodePng({ pixels, width: 20, height: 10, channels }))).toEqual({
        width: 20,
        height: 10,
        data: pixels,
        channels,
      });
    }
  });

  it('leaves every damaged file to others', () => {
    const file = noise({ kind: 2, bits: 8, channels: 3 }, 6, 4, Random.from(1));
    for (let i = 0; i < file.length; i++) {
      const damaged = Buffer.from(file);
      damaged[i]! ^= 1 << (i % 8);
      expect(decodePng(damaged), `byte ${i}`).toBeNull();
      expect(decodePng(file.subarray(0, i)), `cut at ${i}`).toBeNull();
    }
  });

  it('leaves interlaced, 16-bit and colour-keyed pictures to others', async () => {
    const picture = sharp({ create: { width: 30, height: 20, channels: 3, background: '#246' } });
    expect(decodePng(await picture.clone().png({ progressive: true }).toBuffer())).toBeNull();
    expect(decodePng(await picture.clone().toColourspace('rgb16').png().toBuffer())).toBeNull();
    expect(decodePng(await picture.clone().jpeg().toBuffer())).toBeNull();
    const keyed = sharp({ create: { width: 8, height: 8, channels: 4, background: { r: 1, g: 2, b: 3, alpha: 0.5 } } });
    expect(decodePng(await keyed.png({ palette: true }).toBuffer())).toBeNull();
  });
});
