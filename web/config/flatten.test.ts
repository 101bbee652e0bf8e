// Configurations line by line, and what differs between them.
import { expect, it } from 'vitest';
import { flatten, linesOf } from './flatten.ts';

it('flattens trees to dotted keys and leaves lists and empty trees whole', () => {
  const config = { train: { lr: 1e-4, betas: [0.9, 0.999] }, name: 'a', empty: {}, nothing: null };
  expect([...flatten(config)]).toEqual([
    ['train.lr', '0.0001'],
    ['train.betas', '[0.9,0.999]'],
    ['name', 'a'],
    ['empty', '{}'],
    ['nothing', 'null'],
  ]);
});

it('tells keys apart that one run lacks, and takes equal lists for equal', () => {
  const lines = linesOf([flatten({ r: 8, t: ['q'] }), flatten({ r: 16, t: ['q'], extra: true })]);
  expect(lines).toEqual([
    { key: 'r', values: ['8', '16'], differs: true },
    { key: 't', values: ['["q"]', '["q"]'], differs: false },
    { key: 'extra', values: [undefined, 'true'], differs: true },
  ]);
});
