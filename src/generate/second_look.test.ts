// Which readings are looked at again, and which of theirs are taken. The stand-in for a model writes what it is told to.
import { expect, it } from 'vitest';
import type { EncodedSample } from '../models/qwen2_vl/batch.ts';
import { GENERATE_DEFAULTS, type GenerateOptions, type Generation } from './generator.ts';
import { readAll } from './read.ts';
import type { OwnOptions, SecondLook } from './second_look.ts';

type Written = readonly [text: string, confidence: number, stop?: Generation['stop']];

/** A model that writes the first text of an image greedily, and the others when it samples. */
function model(images: Readonly<Record<string, readonly Written[]>>) {
  const calls: { names: string[]; options: readonly GenerateOptions[] }[] = [];
  const texts = Object.values(images).flatMap((all) => all.map(([text]) => text));
  return {
    calls,
    prompts: Object.keys(images).map(
      (name): EncodedSample => ({ name, ids: new Int32Array(3), labelStart: 3, images: [] }),
    ),
    tokenizer: { decode: ([id]: readonly number[]) => texts[id!]! },
    generate: async (prompts: readonly EncodedSample[], options: readonly GenerateOptions[]) => {
      const names = prompts.map(({ name }) => name);
      calls.push({ names, options });
      return names.map((name, i): Generation => {
        const at = options[i]!.temperature === 0 ? 0 : 1 + names.slice(0, i).filter((other) => other === name).length;
        const [text, confidence, stop = 'stop_token'] = images[name]![at]!;
        return { ids: [texts.indexOf(text)], confidence, stop };
      });
    },
  };
}

/** Texts are in order unless they begin with `?`, which mending takes off; `?!` cannot be mended. */
const mend = (text: string): string | null => (text.startsWith('?!') ? null : text.replace(/^\?/, ''));

async function read(
  images: Readonly<Record<string, readonly Written[]>>,
  samples: number,
  batchSize = 4,
  own?: readonly OwnOptions[],
) {
  const { prompts, tokenizer, calls, ...generator } = model(images);
  const secondLook: SecondLook = { samples, mend };
  const options = { ...GENERATE_DEFAULTS, stopIds: [], batchSize, secondLook, own };
  const readings = await readAll(generator, tokenizer, prompts, options);
  return { calls, readings: readings.map(({ text, look, confidence }) => [text, look, confidence]) };
}

it('looks again at what is faulty alone, as many images at once as the batch has room for', async () => {
  const faulty: Written[] = [
    ['?a', 0.5],
    ['b', 0.6],
    ['c', 0.4],
  ];
  const { calls, readings } = await read({ one: faulty, two: [['d', 0.1]], three: faulty, four: faulty }, 2);
  expect(readings.map(([text]) => text)).toEqual(['b', 'd', 'b', 'b']);
  const again = calls.filter(({ options }) => options.every(({ temperature }) => temperature > 0));
  expect(again.map(({ names }) => names)).toEqual([
    ['one', 'one', 'three', 'three'],
    ['four', 'four'],
  ]);
});

it('takes the most confident reading, mended where need be', async () => {
  const images: Record<string, Written[]> = {
    second: [
      ['?a', 0.5],
      ['b', 0.6],
      ['?!c', 0.9],
    ],
    'second, mended': [
      ['?a', 0.5],
      ['?d', 0.8],
      ['e', 0.7],
    ],
    first: [
      ['?f', 0.5],
      ['g', 0.4],
      ['h', 0.3],
    ],
    none: [
      ['?!i', 0.5],
      ['?!j', 0.8],
      ['?!k', 0.9],
    ],
  };
  const { readings } = await read(images, 2);
  expect(readings).toEqual([
    ['b', 'second', 0.6],
    ['d', 'second', 0.8],
    ['f', 'mended', 0.5],
    ['?!i', 'first', 0.5],
  ]);
});

it('looks again at a loop, and takes a loop last', async () => {
  const { readings } = await read(
    {
      a: [
        ['l', 0.99, 'repetition'],
        ['m', 0.98, 'length'],
        ['?n', 0.2],
      ],
    },
    2,
  );
  expect(readings).toEqual([['n', 'second', 0.2]]);
});

it('without samples mends alone', async () => {
  const { calls, readings } = await read({ a: [['?o', 0.5]], b: [['?!p', 0.5]], c: [['q', 0.5]] }, 0);
  expect(readings.map(([text, look]) => [text, look])).toEqual([
    ['o', 'mended'],
    ['?!p', 'first'],
    ['q', 'first'],
  ]);
  expect(calls.flatMap(({ names }) => names)).toEqual(['a', 'b', 'c']);
});

it('reads each image by its own options, where it has some', async () => {
  const faulty: Written[] = [
    ['?a', 0.5],
    ['b', 0.6],
  ];
  const own = [{ maxNewTokens: 7 }, { secondLook: false }, { seed: 5 }];
  const { calls, readings } = await read({ one: faulty, two: faulty, three: faulty }, 1, 4, own);
  expect(readings.map(([text, look]) => [text, look])).toEqual([
    ['b', 'second'],
    ['?a', 'first'],
    ['b', 'second'],
  ]);
  expect(calls.map(({ options }) => options.map(({ maxNewTokens, seed }) => [maxNewTokens, seed]))).toEqual([
    [
      [7, 0],
      [256, 0],
      [256, 5],
    ],
    [
      [7, 1],
      [256, 6],
    ],
  ]);
});
