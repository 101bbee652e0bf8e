// Archives as a source: tar and zip in any order, what GNU tar packs, and what it says of faults.
import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import { packTar } from 'modern-tar';
import { describe, expect, it } from 'vitest';
import { open, rowsOf, sourceScene, TEXTS } from '../../../test/data/source_scene.ts';

const scene = sourceScene();
const { at, expectFour } = scene;

describe('archive', () => {
  const labels = `file,latex\n${TEXTS.map((text, i) => `img/${i}.png,${text}`).join('\n')}\n`;
  const entries = () => [
    { header: { name: 'set/labels.csv', size: Buffer.byteLength(labels) }, body: labels },
    { header: { name: 'set/img/', size: 0, type: 'directory' as const } },
    ...scene.pictures.map((body, i) => ({
      header: { name: `set/img/${i}.png`, size: body.length },
      body: new Uint8Array(body),
    })),
  ];

  it('reads tar and tar.gz, labels first or last', async () => {
    const tar = await packTar(entries());
    await writeFile(at('a.tar'), tar);
    await writeFile(at('a.tar.gz'), gzipSync(tar));
    await writeFile(
      at('b.tgz'),
      gzipSync(
        await packTar(
          entries()
            .reverse()
            .filter(({ header }) => !header.name.endsWith('/')),
        ),
      ),
    );
    await expectFour(await open(`archive:${at('a.tar')}`));
    await expectFour(await open(`archive:${at('a.tar.gz')}`));
    const reversed = await rowsOf(await open(`archive:${at('b.tgz')}`));
    expect(reversed.map((row) => 'text' in row && row.text)).toEqual([...TEXTS].reverse());
  });

  it('reads what GNU tar packs, long names and all', async () => {
    const deep = `set/${'d'.repeat(120)}`;
    await mkdir(at(deep), { recursive: true });
    await writeFile(at(`${deep}/0.png`), scene.pictures[0]!);
    await writeFile(at('set/labels.tsv'), `image\ttext\n${'d'.repeat(120)}/0.png\tx\n`);
    execFileSync('tar', ['-czf', at('gnu.tar.gz'), '-C', scene.home, 'set']);
    expect(await rowsOf(await open(`archive:${at('gnu.tar.gz')}`))).toMatchObject([{ text: 'x', where: 'line 2' }]);
  });

  it('tells of labels without image and images twice named', async () => {
    const twice = 'file,latex\nimg/0.png,x\nimg/9.png,gone\n,none\nimg/0.png,again\n';
    await writeFile(
      at('c.tar'),
      await packTar([
        { header: { name: 'labels.csv', size: twice.length }, body: twice },
        ...entries()
          .slice(2, 3)
          .map((entry) => ({ ...entry, header: { ...entry.header, name: 'img/0.png' } })),
      ]),
    );
    const rows = await rowsOf(await open(`archive:${at('c.tar')}`));
    expect(rows).toMatchObject([
      { unusable: 'image not in the archive', detail: 'img/9.png', where: 'line 3' },
      { unusable: 'no image path', where: 'line 4' },
      { text: 'x' },
      { text: 'again' },
    ]);
  });

  it('takes the last of several entries of one name, as tar unpacks them, and loses no row for it', async () => {
    const [labelled, , ...images] = entries();
    const stale = { header: { name: 'set/img/0.png', size: 3 }, body: new Uint8Array([1, 2, 3]) };
    await writeFile(at('appended.tar'), await packTar([labelled!, stale, ...images]));
    await expectFour(await open(`archive:${at('appended.tar')}`));
  });

  it('finds names that another system spells with combining accents', async () => {
    const table = 'file,latex\nimg/\u00e9.png,x\n';
    await writeFile(
      at('mac.tar'),
      await packTar([
        { header: { name: 'labels.csv', size: Buffer.byteLength(table) }, body: table },
        { header: { name: 'img/e\u0301.png', size: 1 }, body: 'p' },
      ]),
    );
    expect(await rowsOf(await open(`archive:${at('mac.tar')}`))).toMatchObject([{ text: 'x' }]);
  });

  it('says what is wrong with an archive', async () => {
    const tar = await packTar(entries());
    await writeFile(at('cut.tar'), tar.subarray(0, 3000));
    await expect(open(`archive:${at('cut.tar')}`)).rejects.toThrow(/cut\.tar: not a readable tar archive/);
    await writeFile(at('no.zip'), 'PK no');
    await expect(open(`archive:${at('no.zip')}`)).rejects.toThrow(/no\.zip: not a readable zip archive/);
    await writeFile(at('no.tar.gz'), 'nothing');
    await expect(open(`archive:${at('no.tar.gz')}`)).rejects.toThrow(/not a readable tar archive/);
    await expect(open(`archive:${at('gone.zip')}`)).rejects.toThrow(/gone\.zip: cannot be read/);
    await expect(open(`archive:${at('a.rar')}`)).rejects.toThrow(/ends with \.zip, \.tar/);
    await writeFile(at('bare.tar'), await packTar(entries().slice(2)));
    await expect(open(`archive:${at('bare.tar')}`)).rejects.toThrow(/expected one labels file.*found none/);
  });
});
