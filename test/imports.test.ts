// The rooms of src against the directions that imports may take (docs/design.md), and no circle between files. Test
// files are left out: they may look anywhere.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const SRC = fileURLToPath(new URL('../src/', import.meta.url));

/** The rooms that each room may import from, beside itself. */
const GRAPH = ['shared', 'graph'];
const OPS = [...GRAPH, 'ops'];
const MODELS = [...OPS, 'autodiff', 'passes', 'nn', 'backends', 'formats', 'models'];
const WORK = [...MODELS, 'data', 'eval', 'generate', 'train', 'tracker', 'hub'];
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  shared: [],
  tracker: ['shared'],
  eval: ['shared', 'data'],
  hub: ['shared'],
  graph: ['shared'],
  formats: GRAPH,
  data: ['shared', 'formats', 'hub'],
  ops: GRAPH,
  autodiff: OPS,
  passes: OPS,
  nn: OPS,
  backends: [...OPS, 'passes'],
  models: [...OPS, 'nn', 'backends', 'formats'],
  generate: MODELS,
  train: [...MODELS, 'data', 'eval', 'generate', 'tracker'],
  server: WORK,
  demo: WORK,
  cli: [...WORK, 'server', 'demo'],
};

const IMPORT =
  /(?:^|\n)\s*(?:import|export)\s[^;'"]*?from\s+'([^']+)'|(?:^|\n)import\s+'([^']+)'|\bimport\('([^']+)'\)/g;

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .map((file) => file.split(sep).join('/'))
  .filter((file) => /\.tsx?$/.test(file) && !/\.test\.tsx?$/.test(file))
  .sort();

/** Files of src, from its root, that each file imports. */
const imports = new Map(
  files.map((file) => {
    const found = Array.from(readFileSync(join(SRC, file), 'utf8').matchAll(IMPORT), (m) => m[1] ?? m[2] ?? m[3] ?? '');
    const inside = found.filter((name) => name.startsWith('.'));
    return [
      file,
      inside.map((name) =>
        relative(SRC, join(SRC, dirname(file), name))
          .split(sep)
          .join('/'),
      ),
    ];
  }),
);
const roomOf = (file: string): string => file.split('/')[0] as string;

it('finds the imports', () => {
  expect(imports.get('train/setup.ts')).toContain('models/qwen2_vl/load.ts');
  expect(imports.get('cli/main.ts')).toContain('cli/commands/train.ts');
  const known = new Set(files);
  const unknown = [...imports].flatMap(([file, names]) =>
    names.filter((name) => !known.has(name)).map((n) => [file, n]),
  );
  expect(unknown).toEqual([]);
});

it('every room has its line in the table', () => {
  expect([...new Set(files.map(roomOf))].filter((room) => !(room in MAY_IMPORT))).toEqual([]);
});

it('imports point one way between rooms', () => {
  const wrong = [...imports].flatMap(([file, names]) =>
    names
      .filter((name) => roomOf(name) !== roomOf(file) && !MAY_IMPORT[roomOf(file)]?.includes(roomOf(name)))
      .map((name) => `src/${file} imports src/${name}`),
  );
  expect(wrong).toEqual([]);
});

it('files import each other in no circle, not even types', () => {
  const done = new Set<string>();
  const path: string[] = [];
  const circles: string[] = [];
  const visit = (file: string): void => {
    const start = path.indexOf(file);
    if (start >= 0) circles.push([...path.slice(start), file].join(' → '));
    if (start >= 0 || done.has(file)) return;
    path.push(file);
    for (const name of imports.get(file) ?? []) visit(name);
    path.pop();
    done.add(file);
  };
  files.forEach(visit);
  expect(circles).toEqual([]);
});

it('web reaches src through the types of the servers alone', () => {
  const web = fileURLToPath(new URL('../web/', import.meta.url));
  const lines = readdirSync(web, { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.tsx?$/.test(file))
    .flatMap((file) => readFileSync(join(web, file), 'utf8').match(/.*from '[./]*\/src\/.*/g) ?? []);
  expect(lines.sort()).toEqual([
    "import type { Api } from '../../src/server/app.ts';",
    "import type { ReadingApi } from '../../src/server/reading/app.ts';",
  ]);
});
