// The Chromium that browser tests drive: CHROMIUM_PATH, else one on the PATH, else the one inside the npm package
// @sparticuz/chromium, which needs nothing installed (its few libraries come along; x64 Linux only).
import { accessSync, constants, existsSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
const CACHE = fileURLToPath(new URL('../../node_modules/.cache/chromium/', import.meta.url));

/** The package's own file looks for its font in /tmp; without any font no text has a size. */
const FONTS = `<?xml version="1.0"?>
<fontconfig>
  <dir>${join(CACHE, 'ready', 'fonts')}</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir>${join(CACHE, 'ready', 'fontconfig')}</cachedir>
</fontconfig>
`;

/** Why no browser test can run here, or null when they can. */
export function missingBrowser(): string | null {
  const { CHROMIUM_PATH } = process.env;
  if (CHROMIUM_PATH) return existsSync(CHROMIUM_PATH) ? null : `CHROMIUM_PATH (${CHROMIUM_PATH}) is not there`;
  if (onPath() !== null || (process.platform === 'linux' && process.arch === 'x64')) return null;
  return `no ${NAMES.join(', ')} on the PATH (install one, or set CHROMIUM_PATH)`;
}

export async function launchBrowser(): Promise<Browser> {
  const installed = process.env.CHROMIUM_PATH || onPath();
  const { executablePath, env } = installed ? { executablePath: installed, env: {} } : await unpacked();
  // Containers lack what the sandbox needs; the pages are our own.
  const args = ['--no-sandbox', '--disable-gpu'];
  return await chromium.launch({ executablePath, args, env: { ...process.env, ...env } });
}

function onPath(): string | null {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    for (const name of NAMES) {
      const file = join(folder, name);
      try {
        accessSync(file, constants.X_OK);
        return file;
      } catch {
        // Not this one.
      }
    }
  }
  return null;
}

/** Unpacks the package's browser, once, into node_modules/.cache. */
async function unpacked(): Promise<{ executablePath: string; env: Record<string, string> }> {
  const ready = join(CACHE, 'ready');
  if (!existsSync(ready)) {
    const folder = join(CACHE, `${process.pid}.tmp`);
    await mkdir(folder, { recursive: true });
    await unpackInto(folder);
    await writeFile(join(folder, 'fonts.conf'), FONTS);
    await rename(folder, ready);
  }
  return {
    executablePath: join(ready, 'chromium'),
    env: { LD_LIBRARY_PATH: join(ready, 'al2023', 'lib'), FONTCONFIG_FILE: join(ready, 'fonts.conf') },
  };
}

/** The package unpacks into the temporary folder, and its libraries only where it believes itself on Lambda. */
async function unpackInto(folder: string): Promise<void> {
  const { TMPDIR } = process.env;
  process.env.TMPDIR = folder;
  process.env.AWS_EXECUTION_ENV = 'AWS_Lambda_nodejs20.x';
  try {
    const { default: packed } = await import('@sparticuz/chromium');
    await packed.executablePath();
  } finally {
    delete process.env.AWS_EXECUTION_ENV;
    if (TMPDIR === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = TMPDIR;
  }
}
