// The machine's figures as nvidia-smi prints them.
import { expect, it } from 'vitest';
import { parseGpus } from './monitor.ts';

it('reads what nvidia-smi prints, without the figures that a card does not give', () => {
  expect(parseGpus('35, 1024, 4096, 60, 120.5\n[N/A], 10, 100, 40, [N/A]\n')).toEqual({
    ...{ 'gpu.0.pct': 35, 'gpu.0.mem.pct': 25, 'gpu.0.mem.value': 1024, 'gpu.0.temp': 60, 'gpu.0.power': 120.5 },
    ...{ 'gpu.1.mem.pct': 10, 'gpu.1.mem.value': 10, 'gpu.1.temp': 40 },
  });
  expect(parseGpus('')).toEqual({});
});
