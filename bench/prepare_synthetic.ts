// Synthetic samples a second of processor time, all threads together, which other load on the machine touches little;
// beside it by the clock, and the peak memory. Formulas of the grammar with their PNGs, as `prepare` makes them; and lines
// of a list in the style set wild without PNGs, as training draws them: each for the first time, and again, when their
// layouts are at hand. The list is the grammar's, of 60 to 100 tokens, or the file named. The last line is JSON.
// Run: node bench/run.mjs prepare_synthetic [count] [list.txt]
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LEVELS, randomFormula, tokensOf } from '../src/data/synthetic/grammar.ts';
import { type DrawOptions, drawSample } from '../src/data/synthetic/sample.ts';
import { encodePng } from '../src/formats/png.ts';

const count = Number(process.argv[2] ?? 500);
const rates: Record<string, number> = {};
const byClock: Record<string, number> = {};

async function measure(name: string, options: DrawOptions, png: boolean): Promise<void> {
  const [started, busy] = [performance.now(), process.cpuUsage()];
  let size = 0;
  for (let i = 0; i < count; i++) {
    const sample = await drawSample(options, i);
    size += png ? encodePng(sample).length / 1024 : (sample.width * sample.height) / 1000;
  }
  const { user, system } = process.cpuUsage(busy);
  rates[name] = Math.round((1e6 * count) / (user + system));
  byClock[name] = Math.round((1000 * count) / (performance.now() - started));
  const each = `${(size / count).toFixed(1)} ${png ? 'KiB' : 'thousand pixels'} each`;
  console.log(`${name}: ${rates[name]} a second of processor time, ${each}`);
}

for (const style of ['printed', 'handwritten'] as const) {
  for (const level of LEVELS) {
    // Glyph caches and the compiler warm up first.
    for (let i = 0; i < 200; i++) encodePng(await drawSample({ seed: 1, style, level }, i));
    await measure(`${style}.${level}`, { seed: 2, style, level }, true);
  }
}

const folder = mkdtempSync(join(tmpdir(), 'texlens-bench-'));
try {
  const list = process.argv[3] ?? join(folder, 'list.txt');
  if (process.argv[3] === undefined) {
    const lines: string[] = [];
    for (let i = 0; lines.length < count; i++) {
      const line = [0, 1].map((k) => randomFormula(9, 2 * i + k, 'hard')).join(' , ');
      if (tokensOf(line).length >= 60 && tokensOf(line).length <= 100 && !line.includes('\\begin')) lines.push(line);
    }
    writeFileSync(list, lines.join('\n'));
  }
  const options = { seed: 3, style: 'wild', level: 'hard', formulas: [list], grammar: 0 } as const;
  for (let i = 0; i < 200; i++) await drawSample({ ...options, formulas: [], seed: 4 }, i);
  await measure('wild.list.first', options, false);
  await measure('wild.list.again', options, false);
} finally {
  rmSync(folder, { recursive: true });
}
const peakRssMiB = Math.round(process.resourceUsage().maxRSS / 1024);
console.log(JSON.stringify({ bench: 'prepare_synthetic', count, samplesPerSecondPerCore: rates, byClock, peakRssMiB }));
