// Synthetic samples (formula, layout, drawing, PNG) a second of processor time, all threads together, which other load on
// the machine touches little; beside it by the clock, and the peak memory. The last line is JSON.
// Run: node bench/run.mjs prepare_synthetic [count]
import { LEVELS } from '../src/data/synthetic/grammar.ts';
import { drawSample } from '../src/data/synthetic/sample.ts';
import { encodePng } from '../src/formats/png.ts';

const count = Number(process.argv[2] ?? 500);
const rates: Record<string, number> = {};
const byClock: Record<string, number> = {};
for (const style of ['printed', 'handwritten'] as const) {
  for (const level of LEVELS) {
    // Glyph caches and the compiler warm up first.
    for (let i = 0; i < 200; i++) encodePng(await drawSample({ seed: 1, style, level }, i));
    const [started, busy] = [performance.now(), process.cpuUsage()];
    let bytes = 0;
    for (let i = 0; i < count; i++) bytes += encodePng(await drawSample({ seed: 2, style, level }, i)).length;
    const { user, system } = process.cpuUsage(busy);
    const rate = (1e6 * count) / (user + system);
    rates[`${style}.${level}`] = Math.round(rate);
    byClock[`${style}.${level}`] = Math.round((1000 * count) / (performance.now() - started));
    console.log(
      `${style} ${level}: ${rate.toFixed(0)} a second of processor time, ${(bytes / count / 1024).toFixed(1)} KiB each`,
    );
  }
}
const peakRssMiB = Math.round(process.resourceUsage().maxRSS / 1024);
console.log(JSON.stringify({ bench: 'prepare_synthetic', count, samplesPerSecondPerCore: rates, byClock, peakRssMiB }));
