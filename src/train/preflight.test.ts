// The preflight's compact list of modules.
import { expect, it } from 'vitest';
import { grouped } from './preflight.ts';

it('modules that differ in their layer alone are one line, gaps shown', () => {
  const layers = [0, 1, 2, 5].map((i) => `model.layers.${i}.mlp.up_proj`);
  const names = ['visual.blocks.0.attn.qkv', 'visual.blocks.1.attn.qkv', ...layers, 'visual.merger.mlp.0'];
  expect(grouped(names)).toEqual([
    { label: 'blocks.0–1.attn.qkv', names: names.slice(0, 2) },
    { label: 'layers.0–2,5.mlp.up_proj', names: layers },
    { label: 'merger.mlp.0', names: ['visual.merger.mlp.0'] },
  ]);
});
