// Data sets of both hubs as a source, from a hub served here.
import { parquetWriteBuffer } from 'hyparquet-writer';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { names, open, sourceScene, TEXTS } from '../../../test/data/source_scene.ts';
import { HubServer } from '../../../test/hub/server.ts';
import { prepareData } from '../prepare.ts';

const scene = sourceScene();
const { expectFour } = scene;

describe.each(['hf', 'modelscope'] as const)('%s', (hub) => {
  let server: HubServer;
  beforeAll(async () => {
    server = await HubServer.start();
  });
  afterAll(() => server.close());
  afterEach(() => vi.unstubAllEnvs());

  it('downloads a subset’s split, reads it, and warns of rows that its README counts and it lacks', async () => {
    const columnData = [
      { name: 'image', data: scene.pictures, type: 'BYTE_ARRAY' as const },
      { name: 'text', data: TEXTS, type: 'STRING' as const },
    ];
    const train = Buffer.from(parquetWriteBuffer({ columnData }));
    const readme =
      '---\nconfigs:\n- config_name: small\n  data_files:\n  - {split: train, path: small/train-*}\n  - {split: test, path: note.txt}\n' +
      'dataset_info: {config_name: small, splits: [{name: train, num_examples: 5}]}\n---\n';
    server.add({
      kind: 'dataset',
      id: 'o/LaTeX_OCR',
      files: { 'README.md': readme, 'small/train-0.parquet': train, 'note.txt': 'x' },
    });
    for (const [name, value] of Object.entries(server.env(scene.home))) vi.stubEnv(name, value);
    const said = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    const source = await open(`${hub}:o/LaTeX_OCR`, { subset: 'small' });
    await expectFour(source);
    expect(source.options).toMatchObject({ repository: 'o/LaTeX_OCR', subset: 'small', split: 'train' });
    expect(await names(source)).toEqual(['small/train-0.parquet']);
    await expect(open(`${hub}:o/LaTeX_OCR`, { split: 'test' })).rejects.toThrow(/note\.txt, which is no Parquet file/);
    const warning = expect.stringMatching(
      /^warning: .*LaTeX_OCR says of itself that this split has 5 rows, its files hold 4;/,
    );
    const prepare = (out: string, limit?: number) =>
      prepareData({
        out: scene.at(out),
        source: { kind: hub, path: 'o/LaTeX_OCR', subset: 'small' },
        limit,
        valCount: 1,
      });
    expect(await prepare('part', 3)).toMatchObject({ count: 3 });
    expect(said).not.toHaveBeenCalledWith(warning);
    expect(await prepare('whole')).toMatchObject({ count: 4 });
    expect(said).toHaveBeenCalledWith(warning);
    vi.restoreAllMocks();
  });
});
