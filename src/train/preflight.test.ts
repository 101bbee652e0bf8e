// What the preflight tells: modules as a compact list, and samples however many there are.
import { expect, it, vi } from 'vitest';
import { grouped, tellSamples } from './preflight.ts';

it('modules that differ in their layer alone are one line, gaps shown', () => {
  const layers = [0, 1, 2, 5].map((i) => `model.layers.${i}.mlp.up_proj`);
  const names = ['visual.blocks.0.attn.qkv', 'visual.blocks.1.attn.qkv', ...layers, 'visual.merger.mlp.0'];
  expect(grouped(names)).toEqual([
    { label: 'blocks.0–1.attn.qkv', names: names.slice(0, 2) },
    { label: 'layers.0–2,5.mlp.up_proj', names: layers },
    { label: 'merger.mlp.0', names: ['visual.merger.mlp.0'] },
  ]);
});

it('samples are counted by their length, more of them than a call takes arguments', () => {
  const said = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  const sizes = [new Int32Array(100), new Int32Array(104)];
  const samples = Array.from({ length: 300_000 }, (_, i) => ({
    ...{ name: `${i}`, labelStart: 90, images: [] },
    ids: sizes[+(i % 3 === 0)]!,
  }));
  try {
    tellSamples({ samples, dropped: [] });
    const lines = said.mock.calls.map(([line]) => String(line));
    expect(lines[0]).toBe('samples: 300000 (0 dropped); tokens 100 to 104, 101 on average\n');
    expect(lines.slice(1).map((line) => Number(line.trim().split(' ').at(-1)))).toEqual([200_000, 0, 0, 0, 100_000]);
  } finally {
    said.mockRestore();
  }
});
