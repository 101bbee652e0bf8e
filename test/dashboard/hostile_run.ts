// A run whose every text tries to run code, to load from elsewhere or to stall the page.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createRun } from '../../src/tracker/run.ts';

export const EVIL_TEXT = '<img src=x onerror="globalThis.pwned=1"><script>globalThis.pwned=1</script>';

export const EVIL_FORMULAS = [
  '\\href{javascript:globalThis.pwned=1}{click}',
  '\\url{javascript:globalThis.pwned=1}',
  '\\htmlClass{pwn}{x} \\htmlData{a=b}{x} \\htmlStyle{color:red}{x}',
  '\\includegraphics{https://evil.example/x.png}',
  '\\def\\a{\\a\\a}\\a',
  '\\def\\a#1{#1#1#1#1}\\a{\\a{\\a{\\a{\\a{\\a{\\a{\\a{\\a{\\a{x}}}}}}}}}}',
  '\\rule{99999999em}{99999999em}',
  `${'{'.repeat(2000)}x${'}'.repeat(2000)}`,
  `${'\\frac{1}'.repeat(3000)}`,
  'x'.repeat(20_000),
  '\\frac{',
  '\\sqrt{\\left(\\begin{matrix}a\\\\b\\\\c\\\\d\\\\e\\\\f\\end{matrix}\\right)} \\xrightarrow{abc} \\overbrace{x+y}',
  '\u202e\u0000\ud800',
  EVIL_TEXT,
  `\\text{${EVIL_TEXT}}`,
];

export async function writeHostileRun(folder: string): Promise<void> {
  const run = await createRun({
    folder,
    name: EVIL_TEXT,
    tags: [EVIL_TEXT, 'javascript:globalThis.pwned=1'],
    notes: EVIL_TEXT,
    captureConsole: false,
    systemEverySeconds: 0,
    config: { [EVIL_TEXT]: EVIL_TEXT, nested: { constructor: EVIL_TEXT, link: 'javascript:globalThis.pwned=1' } },
  });
  for (let step = 1; step <= 3; step++)
    run.log({ [EVIL_TEXT]: step, 'train/loss': step, __proto__x: 1, constructor: 2, '../../etc/passwd': 3 }, step);
  await run.evaluation({
    step: 3,
    metrics: { [EVIL_TEXT]: 1 },
    rows: EVIL_FORMULAS.map((formula) => ({
      image: `../../${EVIL_TEXT}.png`,
      truth: formula,
      prediction: `${formula} y`,
      metrics: { [EVIL_TEXT]: 0.5 },
    })),
  });
  run.text(EVIL_TEXT, EVIL_TEXT, 3);
  run.checkpoint({ step: 3, path: EVIL_TEXT });
  const picture = join(folder, 'evil.png');
  await writeFile(picture, Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), Buffer.from(EVIL_TEXT)]));
  await run.image(EVIL_TEXT, [{ path: picture, caption: EVIL_TEXT }], 3);
  await run.finish({ error: new Error(EVIL_TEXT) });
  const lines = [EVIL_TEXT, '\u001b]8;;javascript:globalThis.pwned=1\u0007link\u001b]8;;\u0007', '\u202egnp.exe'];
  await writeFile(
    join(folder, 'console.jsonl'),
    lines.map((line) => `${JSON.stringify({ time: 1, level: 'out', line })}\n`).join(''),
  );
}
