// Compiles and runs a benchmark, for Node 20 does not read TypeScript: node bench/run.mjs NAME [flags]
import { execFileSync } from 'node:child_process';
import { cpSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
const out = 'node_modules/.cache/bench';
const options = ['-p', 'tsconfig.json', '--noEmit', 'false', '--rootDir', '.', '--outDir', out];
execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', ...options], { stdio: 'inherit' });
cpSync('src/backends/cuda/kernels', `${out}/src/backends/cuda/kernels`, { recursive: true });
const [name] = process.argv.splice(2, 1);
await import(new URL(`../${out}/bench/${name}.js`, import.meta.url).href);
