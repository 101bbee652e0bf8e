// GET /api/runs/:id/media/:name: an image that a run kept. Names are hashes of content, so browsers may keep them.
import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { Hono } from 'hono';
import { refuse } from '../guard.ts';
import type { Library } from '../library.ts';

/** Of every kind that the tracker keeps. */
const TYPES: Readonly<Record<string, string>> = {
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.gif': 'image/gif',
  '.webp': 'image/webp',
};

export const media = (library: Library) =>
  new Hono().get('/runs/:id/media/:name', async (context) => {
    const open = await library.open(context.req.param('id'));
    const name = context.req.param('name');
    const file = await open?.reader.media(name);
    if (!file) return refuse(context, 404, 'there is no such image');
    return context.body(await readFile(file), 200, {
      'content-type': TYPES[extname(name)] ?? 'application/octet-stream',
      'cache-control': 'private, max-age=31536000, immutable',
    });
  });
