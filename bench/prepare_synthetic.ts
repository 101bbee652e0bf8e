// Synthetic samples a second on one core (formula, layout, drawing, PNG) and the peak memory; the last line is JSON.
// Run: npx tsc -p tsconfig.json --noEmit false --rootDir . --outDir node_modules/.cache/bench && node node_modules/.cache/bench/bench/prepare_synthetic.js [count]
import { makeSample } from '../src/data/sources/synthetic.ts';
import { LEVELS } from '../src/data/synthetic/grammar.ts';

const count = Number(process.argv[2] ?? 500);
const rates: Record<string, number> = {};
for (const style of ['printed', 'handwritten'] as const) {
  for (const level of LEVELS) {
    // Glyph caches and the compiler warm up first.
    for (let i = 0; i < 200; i++) await makeSample({ seed: 1, style, level }, i);
    const started = performance.now();
    let bytes = 0;
    for (let i = 0; i < count; i++) bytes += (await makeSample({ seed: 2, style, level }, i)).png.length;
    const rate = (1000 * count) / (performance.now() - started);
    rates[`${style}.${level}`] = Math.round(rate);
    console.log(`${style} ${level}: ${rate.toFixed(0)} a second, ${(bytes / count / 1024).toFixed(1)} KiB each`);
  }
}
const peakRssMiB = Math.round(process.resourceUsage().maxRSS / 1024);
console.log(JSON.stringify({ bench: 'prepare_synthetic', count, samplesPerSecondPerCore: rates, peakRssMiB }));
