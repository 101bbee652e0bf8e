// Parquet as a source: rows from pages and groups of any size, its columns, and what it says of faults.
import { readFile, writeFile } from 'node:fs/promises';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { describe, expect, it } from 'vitest';
import { names, open, rowsOf, sourceScene, TEXTS } from '../../../test/data/source_scene.ts';
import { InputError } from '../../shared/errors.ts';

const scene = sourceScene();
const { at, expectFour } = scene;

describe('parquet', () => {
  /** Row groups of two rows, or of all. */
  const write = async (
    name: string,
    groups: number,
    columns: Parameters<typeof parquetWriteBuffer>[0],
    features?: object,
  ) => {
    const kvMetadata = features && [{ key: 'huggingface', value: JSON.stringify({ info: { features } }) }];
    const buffer = parquetWriteBuffer({ ...columns, rowGroupSize: groups, kvMetadata });
    await writeFile(at(name), Buffer.from(buffer));
  };
  const structs = (extra: object = {}) => ({
    columnData: [
      { name: 'image', data: scene.pictures.map((bytes, i) => ({ bytes, path: i === 1 ? null : `${i}.png` })) },
      { name: 'text', data: TEXTS },
    ],
    schema: [
      { name: 'root', num_children: 2 },
      { name: 'image', num_children: 2, repetition_type: 'OPTIONAL' as const },
      { name: 'bytes', type: 'BYTE_ARRAY' as const, repetition_type: 'OPTIONAL' as const },
      {
        name: 'path',
        type: 'BYTE_ARRAY' as const,
        converted_type: 'UTF8' as const,
        repetition_type: 'OPTIONAL' as const,
      },
      {
        name: 'text',
        type: 'BYTE_ARRAY' as const,
        converted_type: 'UTF8' as const,
        repetition_type: 'OPTIONAL' as const,
      },
    ],
    ...extra,
  });

  it('reads structs of bytes in row groups of any size, one file or several', async () => {
    await write('small.parquet', 2, structs(), { image: { _type: 'Image' }, text: { _type: 'Value' } });
    await write('large.parquet', 100, structs());
    await write('plain.parquet', 3, structs({ codec: 'UNCOMPRESSED' }));
    for (const name of ['small', 'large', 'plain']) await expectFour(await open(`parquet:${at(`${name}.parquet`)}`));
    const all = await open(`parquet:${scene.home}/*.parquet`);
    expect(all.total).toBe(12);
    expect(await rowsOf(all, 5)).toHaveLength(7);
    expect(await names(await open(`parquet:${scene.home}`))).toEqual(await names(all));
  });

  it('finds columns by the features, or takes the ones named', async () => {
    const bytes = (name: string) => ({ name, data: scene.pictures, type: 'BYTE_ARRAY' as const });
    const text = (name: string, data = TEXTS) => ({ name, data, type: 'STRING' as const });
    const columns = { columnData: [bytes('scan'), bytes('thumb'), text('tex'), text('lang', ['a', 'b', 'c', 'd'])] };
    await write('odd.parquet', 4, columns);
    await write('told.parquet', 4, columns, { scan: { _type: 'Image' } });
    await expect(open(`parquet:${at('odd.parquet')}`)).rejects.toThrow(
      /more than one image column; it has 'scan', 'thumb', 'tex', 'lang'\. Name one with --image-column/,
    );
    await expect(open(`parquet:${at('told.parquet')}`)).rejects.toThrow(/more than one text column.*--text-column/);
    await expectFour(await open(`parquet:${at('told.parquet')}`, { textColumn: 'tex' }));
    await expectFour(await open(`parquet:${at('odd.parquet')}`, { imageColumn: 'scan', textColumn: 'tex' }));
    await expect(open(`parquet:${at('odd.parquet')}`, { imageColumn: 'no' })).rejects.toThrow(/no column 'no'/);
  });

  it('takes images beside the file by their path, and none from elsewhere', async () => {
    const paths = ['in/a.png', '../out.png', '/etc/passwd', ''];
    const data = paths.map((path) => ({ bytes: null, path }));
    await write('paths.parquet', 4, {
      ...structs(),
      columnData: [
        { name: 'image', data },
        { name: 'text', data: TEXTS },
      ],
    });
    const rows = await rowsOf(await open(`parquet:${at('paths.parquet')}`));
    expect(rows[0]).toMatchObject({ image: at('in/a.png'), text: 'x' });
    expect(rows.slice(1).map((row) => 'unusable' in row && [row.unusable, row.detail])).toEqual([
      ['image path leads out of the folder', '../out.png'],
      ['image path leads out of the folder', '/etc/passwd'],
      ['no image path', '值'],
    ]);
  });

  it('says what is wrong with a file', async () => {
    await writeFile(at('no.parquet'), 'PAR1 no');
    await expect(open(`parquet:${at('no.parquet')}`)).rejects.toThrow(/no\.parquet: not a readable Parquet file/);
    await expect(open(`parquet:${at('*.pq')}`)).rejects.toThrow(/no Parquet files there/);
    await write('cut.parquet', 2, structs());
    const whole = await readFile(at('cut.parquet'));
    whole.fill(0xff, 8, 40); // a page's header
    await writeFile(at('cut.parquet'), whole);
    const fault = open(`parquet:${at('cut.parquet')}`).then((source) => rowsOf(source));
    await expect(fault).rejects.toThrow(InputError);
    await expect(fault).rejects.toThrow(/cut\.parquet: the column image/);
  });
});
