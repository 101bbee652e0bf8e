// The public API as docs/tracking.md shows it: the example runs as it stands there, on the built package.
import { execFile } from 'node:child_process';
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { openRun } from '../src/tracker/reader.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

it('the example in the documentation runs', async () => {
  const home = await mkdtemp(join(tmpdir(), 'texlens-api-'));
  try {
    const text = await readFile(join(ROOT, 'docs', 'tracking.md'), 'utf8');
    const example = /```ts\n(.*?)```/s.exec(text)?.[1] as string;
    await copyFile(join(ROOT, 'test/golden/processor/images/gray.png'), join(home, 'seven.png'));
    // Found by its name from within the package; the run itself goes to the other folder.
    const imports = /^import .*;$/m.exec(example)?.[0] as string;
    const code = `${imports}\nprocess.chdir(${JSON.stringify(home)});\n${example.replace(imports, '')}`;
    const node = ['--input-type=module', '-e', code];
    const { stdout } = await promisify(execFile)(process.execPath, node, { cwd: ROOT });
    expect(stdout).toBe('finished 100 0.01\n');
    const run = await openRun(join(home, 'runs', 'my-run'));
    expect(run.meta).toMatchObject({
      name: 'my-run',
      project: 'digits',
      tags: ['baseline'],
      summary: { accuracy: 0.5 },
    });
    expect(run.evaluations()).toMatchObject([{ rows: [{ truth: '7', image: expect.any(String) }] }]);
  } finally {
    await rm(home, { recursive: true, force: true });
  }
});
