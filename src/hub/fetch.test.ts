// Fetching models: the layouts of both hubs on disk, what is chosen, resuming, and use without a network.
import { lstat, mkdir, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { hubScene } from '../../test/hub/scene.ts';
import { MODEL_FILES, modelFiles } from '../../test/hub/server.ts';
import { type FetchOptions, type FetchResult, fetchModel } from './fetch.ts';
import { resolveAdapter, resolveModel } from './resolve.ts';

const scene = hubScene();
const ID = 'Qwen/Tiny-VL';
const FILES = modelFiles();
const NAME = { hf: `hf:${ID}`, modelscope: `modelscope:${ID}` };

const fetching = (name: string, options: FetchOptions = {}): Promise<FetchResult> =>
  fetchModel(name, { env: scene.server.env(scene.home), backoffMs: 1, progress: () => {}, ...options });

async function expectModel(folder: string, files = FILES, names = MODEL_FILES): Promise<void> {
  const found = (await readdir(folder)).filter((name) => !name.startsWith('.')).sort();
  expect(found).toEqual([...names].sort());
  for (const name of names) expect((await readFile(join(folder, name))).equals(Buffer.from(files[name]!))).toBe(true);
}

describe.each(['hf', 'modelscope'] as const)('fetchModel from %s', (hub) => {
  beforeEach(() => scene.server.add({ kind: 'model', id: ID, files: FILES, revisions: { 'v1.0': modelFiles(9) } }));

  it('brings what a model needs and nothing else, once', async () => {
    const first = await fetching(NAME[hub]);
    await expectModel(first.folder);
    const bytes = MODEL_FILES.reduce((sum, name) => sum + Buffer.from(FILES[name]!).length, 0);
    // Two files of "{}" are one in Hugging Face's cache.
    const downloaded = hub === 'hf' ? bytes - 2 : bytes;
    expect(first).toMatchObject({ files: MODEL_FILES.length, bytes, downloaded });
    const again = await fetching(NAME[hub]);
    expect(again).toMatchObject({ folder: first.folder, files: MODEL_FILES.length, bytes, downloaded: 0 });
  });

  it('writes plain files to --out', async () => {
    const out = join(scene.home, 'plain');
    expect((await fetching(NAME[hub], { out })).folder).toBe(out);
    await expectModel(out);
    expect((await readdir(out)).filter((name) => name.startsWith('.'))).toEqual([]);
    for (const name of MODEL_FILES) expect((await lstat(join(out, name))).isFile()).toBe(true);
  });

  it('keeps revisions apart', async () => {
    const main = await fetching(NAME[hub]);
    const old = await fetching(`${NAME[hub]}@v1.0`);
    await expectModel(main.folder);
    await expectModel(old.folder, modelFiles(9));
    expect(await resolveModel(`${NAME[hub]}@v1.0`, { env: scene.server.env(scene.home), offline: true })).toBe(
      old.folder,
    );
    await expect(fetching(`${NAME[hub]}@v2`)).rejects.toThrow(/revision|branch, tag or commit/);
  });

  it('brings an adapter, which is no model, and finds it again offline', async () => {
    const adapter = { 'adapter_config.json': '{"r":4}', 'adapter_model.safetensors': 'weights', 'texlens.json': '{}' };
    const name = `${hub}:me/formulas`;
    const options = { env: scene.server.env(scene.home), backoffMs: 1, progress: () => {} };
    scene.server.add({ kind: 'model', id: 'me/formulas', files: { ...adapter, 'checkpoint-1/adapter.bin': 'x' } });
    await expect(resolveAdapter(name, { ...options, offline: true })).rejects.toThrow(/offline, and it is not in/);
    const folder = await resolveAdapter(name, options);
    await expectModel(folder, adapter, Object.keys(adapter));
    expect(await resolveAdapter(name, { ...options, offline: true })).toBe(folder);
    expect(await resolveAdapter(folder, options)).toBe(folder);
    await rm(join(folder, 'adapter_model.safetensors'));
    await expect(resolveAdapter(name, { ...options, offline: true })).rejects.toThrow(
      /lacks adapter_model\.safetensors/,
    );
    await expect(resolveAdapter(NAME[hub], options)).rejects.toThrow(
      /expected a LoRA adapter \(adapter_config\.json and adapter_model\.safetensors\), found /,
    );
  });

  it('mends a damaged and a lost file', async () => {
    const { folder } = await fetching(NAME[hub]);
    const weights = join(folder, 'model-00001-of-00002.safetensors');
    const bytes = await readFile(weights);
    await writeFile(weights, Buffer.from(bytes.map((byte, i) => (i === 7 ? byte ^ 1 : byte))));
    await rm(join(folder, 'config.json'));
    const { downloaded } = await fetching(NAME[hub]);
    expect(downloaded).toBeGreaterThanOrEqual(bytes.length);
    expect(downloaded).toBeLessThan(bytes.length + 1000);
    await expectModel(folder);
  });

  it('is not taken for complete where the index of its shards is cut', async () => {
    const { folder } = await fetching(NAME[hub]);
    await writeFile(join(folder, 'model.safetensors.index.json'), '{"weight_map": {');
    const env = scene.server.env(scene.home);
    await expect(resolveModel(NAME[hub], { env, offline: true })).rejects.toThrow(
      /lacks model\.safetensors\.index\.json/,
    );
    expect(await resolveModel(NAME[hub], { env, progress: () => {} })).toBe(folder);
    await expectModel(folder);
  });

  it('takes new content of a branch', async () => {
    await fetching(NAME[hub]);
    const files = { ...FILES, 'config.json': '{"new":1}' };
    scene.server.add({ kind: 'model', id: ID, files });
    const { folder, downloaded } = await fetching(NAME[hub]);
    expect(downloaded).toBe(9);
    await expectModel(folder, files);
  });

  it('serves offline what was fetched, without a request, and says what is missing', async () => {
    const env = { ...scene.server.env(scene.home), HF_HUB_OFFLINE: '1' };
    await expect(fetching(NAME[hub], { env })).rejects.toThrow(/offline, and it is not in .*; fetch it once/);
    const online = await fetching(NAME[hub]);
    scene.server.seen.length = 0;
    const offline = await fetching(NAME[hub], { env });
    expect(offline).toMatchObject({ folder: online.folder, files: online.files, bytes: online.bytes, downloaded: 0 });
    expect(await resolveModel(NAME[hub], { env: scene.server.env(scene.home) })).toBe(online.folder);
    expect(scene.server.seen).toEqual([]);
    await rm(join(online.folder, 'model-00002-of-00002.safetensors'));
    await expect(resolveModel(NAME[hub], { env })).rejects.toThrow(/lacks model-00002-of-00002.safetensors/);
  });

  it('is not taken for complete after a failure, and then goes on', async () => {
    scene.server.fault = ({ file }) => (file === 'preprocessor_config.json' ? { status: 404 } : undefined);
    await expect(fetching(NAME[hub], { connections: 1 })).rejects.toThrow(/preprocessor_config.json of .*Tiny-VL/);
    const env = scene.server.env(scene.home);
    await expect(resolveModel(NAME[hub], { env, offline: true })).rejects.toThrow(/offline/);
    scene.server.fault = () => undefined;
    const folder = await resolveModel(NAME[hub], { env, progress: () => {} });
    await expectModel(folder);
  });

  it('refuses a listing with a path that leaves the folder, before it writes anything', async () => {
    scene.server.editListing = (entries) => {
      const file = entries.find((entry) => (entry.path ?? entry.Path) === 'README.md')!;
      file[hub === 'hf' ? 'path' : 'Path'] = '../../evil.json';
    };
    await expect(fetching(NAME[hub])).rejects.toThrow(/"..\/..\/evil.json", which leaves its folder/);
    expect(await readdir(scene.home)).toEqual([]);
  });

  it('refuses a model without safetensors', async () => {
    scene.server.add({ kind: 'model', id: ID, files: { 'pytorch_model.bin': 'x', 'config.json': '{}' } });
    await expect(fetching(NAME[hub])).rejects.toThrow(/as .safetensors files, found pytorch_model.bin, config.json/);
  });

  it('refuses what the disk cannot hold before the first byte', async () => {
    scene.server.editListing = (entries) => {
      for (const entry of entries) {
        if (!String(entry.path ?? entry.Path).startsWith('model-00001')) continue;
        if (entry.Size) entry.Size = 1e15;
        if (entry.lfs) entry.lfs = { ...(entry.lfs as object), size: 1e15 };
      }
    };
    await expect(fetching(NAME[hub])).rejects.toThrow(/to fetch, .* free; make room/);
    expect(scene.server.served).toBe(0);
  });

  it('lets two processes ask at once and fetches once', async () => {
    const [a, b] = await Promise.all([fetching(NAME[hub]), fetching(NAME[hub])]);
    expect(Math.min(a.downloaded, b.downloaded)).toBe(0);
    await expectModel(a.folder);
  });
});

describe('the layout of Hugging Face', () => {
  it('is blobs by digest, relative links and a reference', async () => {
    scene.server.add({ kind: 'model', id: ID, files: FILES });
    scene.server.pageSize = 3;
    const { folder } = await fetching(NAME.hf, { cacheDir: join(scene.home, 'cache') });
    const root = join(scene.home, 'cache', 'models--Qwen--Tiny-VL');
    const commit = await readFile(join(root, 'refs/main'), 'utf8');
    expect(folder).toBe(join(root, 'snapshots', commit));
    // git hash-object on the content gives the first, sha256sum the second.
    expect(await readlink(join(folder, 'vocab.json'))).toBe('../../blobs/9e26dfeeb6e641a33dae4961196235bdb965b21b');
    const weights = await readlink(join(folder, 'model-00001-of-00002.safetensors'));
    expect(weights).toMatch(/^\.\.\/\.\.\/blobs\/[0-9a-f]{64}$/);
    expect((await readdir(root)).sort()).toEqual(['blobs', 'refs', 'snapshots']);
    // Two files of "{}" share one blob.
    expect((await readdir(join(root, 'blobs'))).length).toBe(MODEL_FILES.length - 1);
  });
});

describe('the layouts of ModelScope', () => {
  const files = modelFiles();

  it('is ./OWNER/NAME with --cache-dir ./, dots kept for old clients by a link', async () => {
    const id = 'Qwen/Tiny2.5-VL';
    scene.server.add({ kind: 'model', id, files });
    const { folder } = await fetching(`modelscope:${id}`, { cacheDir: scene.home });
    expect(folder).toBe(join(scene.home, 'Qwen/Tiny2___5-VL'));
    await expectModel(join(scene.home, 'Qwen/Tiny2.5-VL'));
    expect(await readlink(join(scene.home, 'Qwen/Tiny2.5-VL'))).toBe('Tiny2___5-VL');
  });

  it.each([
    ['ms/models/Qwen/Tiny-VL', {}],
    ['ms/Qwen/Tiny-VL', {}],
    ['ms/models/Qwen--Tiny-VL/snapshots/master', {}],
    ['here/Qwen/Tiny-VL', { cacheDir: 'here' }],
    ['here/models/Qwen--Tiny-VL/snapshots/master', { cacheDir: 'here' }],
  ])('finds %s, whoever put it there', async (path, { cacheDir }: { cacheDir?: string }) => {
    scene.server.add({ kind: 'model', id: ID, files });
    const folder = join(scene.home, path);
    await mkdir(folder, { recursive: true });
    for (const name of MODEL_FILES) await writeFile(join(folder, name), files[name]!);
    const options = { env: scene.server.env(scene.home), cacheDir: cacheDir && join(scene.home, cacheDir) };
    expect(await resolveModel(NAME.modelscope, { ...options, offline: true })).toBe(folder);
    expect(await fetching(NAME.modelscope, options)).toMatchObject({ folder, downloaded: 0 });
  });

  it('does not take an older folder of another revision for the one asked', async () => {
    scene.server.add({ kind: 'model', id: ID, files, revisions: { v1: modelFiles(3) } });
    const { folder } = await fetching(NAME.modelscope);
    await writeFile(join(folder, '.mv'), 'Revision:master,CreatedAt:1700000000');
    const v1 = await fetching(`${NAME.modelscope}@v1`);
    expect((await readdir(v1.folder)).filter((name) => name.startsWith('.'))).toEqual([]);
    expect(v1.folder).toBe(join(dirname(dirname(folder)), 'Qwen--Tiny-VL/snapshots/v1'));
    await expectModel(folder);
  });
});

it('takes a folder of a tag back to the default branch, and forgets the tag', async () => {
  scene.server.add({ kind: 'model', id: ID, files: FILES, revisions: { v1: modelFiles(3) } });
  const folder = join(scene.home, ID);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, '.mv'), 'Revision:v1,CreatedAt:1700000000');
  await fetching(NAME.modelscope, { cacheDir: scene.home });
  await expectModel(folder);
  const offline = { cacheDir: scene.home, env: scene.server.env(scene.home), offline: true };
  await expect(resolveModel(`${NAME.modelscope}@v1`, offline)).rejects.toThrow(/offline/);
});

describe('resolveModel', () => {
  it('gives a folder back as it is and helps with a bare name', async () => {
    expect(await resolveModel('models/none/here')).toBe('models/none/here');
    expect(await resolveModel(scene.home)).toBe(scene.home);
    await expect(resolveModel(ID)).rejects.toThrow(
      /no such folder; for a model of a hub write modelscope:Qwen\/Tiny-VL/,
    );
    expect((await stat(scene.home)).isDirectory()).toBe(true);
  });
});
