// A built page (of dist/web) and what it loads: read once into memory, by exact name, so that no path of a request reaches the disk.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { MiddlewareHandler } from 'hono';
import { RunError } from '../shared/errors.ts';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
};

/** dist/web, both from src/server (tests) and from dist/server. */
const FOLDER = fileURLToPath(new URL('../../dist/web/', import.meta.url));

/** @param page the file at /; no other page is served */
export function staticFiles(page: string): MiddlewareHandler {
  if (!existsSync(join(FOLDER, page))) throw new RunError(`${join(FOLDER, page)}: is not built; run npm run build.`);
  const files = new Map<string, { body: Buffer<ArrayBuffer>; type: string }>();
  for (const name of readdirSync(FOLDER)) {
    const type = TYPES[extname(name)];
    if (type === undefined || (extname(name) === '.html' && name !== page)) continue;
    files.set(name === page ? '/' : `/${name}`, { body: readFileSync(join(FOLDER, name)), type });
  }
  return async (context, next) => {
    const file = ['GET', 'HEAD'].includes(context.req.method) ? files.get(context.req.path) : undefined;
    if (!file) return next();
    // Fonts and lazily loaded parts carry a hash of their content in their name.
    const lasting = /-[A-Z0-9]{8}\.\w+$/.test(context.req.path);
    return context.body(file.body, 200, {
      'content-type': file.type,
      'cache-control': lasting ? 'private, max-age=31536000, immutable' : 'no-cache',
    });
  };
}
