// The bytes of SwanLab's and TensorBoard's files against those that their own packages write (reference/).
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { encodeRecord, FILE_HEADER, Framer, type SwanlabRecord } from './export/swanlab_log.ts';
import { configOf, metricKey, projectName, yamlJson } from './export/swanlab_names.ts';
import { encodeEvent, type SummaryValue, type TensorboardEvent, textValue } from './exporters/tensorboard.ts';

const golden = (name: string): Buffer => readFileSync(new URL(`../../test/golden/tracker/${name}`, import.meta.url));

/** Long texts stand in the fixture as {repeat, times}. */
const unfold = (_key: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && 'repeat' in value
    ? String(value.repeat).repeat(Number((value as { times?: unknown }).times))
    : value;

describe('a SwanLab file', () => {
  const { records } = JSON.parse(golden('swanlab.json').toString(), unfold) as { records: SwanlabRecord[] };
  const expected = gunzipSync(golden('swanlab.swanlab.gz'));

  it('has the bytes of the SDK, at every distance from the end of a block', () => {
    const framer = new Framer();
    const frames = records.map((record) => framer.frame(encodeRecord(record)));
    const bytes = Buffer.concat([FILE_HEADER, ...frames]);
    // The fixture's records end 8, 7, 6, 1 and 0 bytes before a block does.
    const rooms = [];
    for (let i = 0, end = FILE_HEADER.length; i < frames.length; i++) {
      end += frames[i]!.length;
      rooms.push((32768 - (end % 32768)) % 32768);
    }
    expect(rooms).toEqual(expect.arrayContaining([8, 7, 6, 1, 0]));
    expect(bytes.length).toBe(expected.length);
    expect(bytes.equals(expected)).toBe(true);
  });
});

describe('a TensorBoard file', () => {
  type Fixture = Omit<TensorboardEvent, 'summary'> & {
    text?: { key: string; text: string };
    summary?: { value: (Omit<SummaryValue, 'image'> & { image?: { encodedImageString: string } })[] };
  };
  const { events } = JSON.parse(golden('tensorboard.json').toString()) as { events: Fixture[] };

  it('has the bytes of TensorBoard’s own writer', () => {
    const frames = events.map(({ text, summary, ...event }) => {
      const value = text
        ? [textValue(text.key, text.text)]
        : summary?.value.map((entry) =>
            entry.image
              ? {
                  ...entry,
                  image: { ...entry.image, encodedImageString: Buffer.from(entry.image.encodedImageString, 'base64') },
                }
              : entry,
          );
      return encodeEvent({ ...event, ...(value ? { summary: { value } } : {}) } as TensorboardEvent);
    });
    expect(Buffer.concat(frames).equals(golden('tensorboard.tfevents'))).toBe(true);
  });
});

describe('names and settings for SwanLab', () => {
  it('write numbers so that PyYAML reads numbers, and texts so that it can read them', () => {
    expect(yamlJson({ lr: 1e-7, big: 1e21, text: '1e-7', nan: Number.NaN, skip: undefined, list: [true, null] })).toBe(
      '{"lr": 1.0e-7, "big": 1.0e+21, "text": "1e-7", "nan": null, "list": [true, null]}',
    );
    expect(yamlJson('\u0085\u007f\ufeff')).toBe('"\\u0085\\u007f\\ufeff"');
  });

  it('keep to what SwanLab takes', () => {
    expect(projectName('../../a project/é')).toBe('..-..-a-project-');
    expect(projectName('')).toBe('texlens');
    expect(metricKey('./../x/y./')).toBe('x/y');
    expect(metricKey('k'.repeat(600))).toHaveLength(512);
    expect(configOf({ config: { b: 1, a: { c: 2 } } } as never)).toEqual({
      b: { value: 1, desc: '', sort: 0 },
      a: { value: { c: 2 }, desc: '', sort: 1 },
    });
  });
});
