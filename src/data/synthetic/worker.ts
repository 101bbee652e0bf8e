// One share of rendering on a worker thread: writes images, returns their labels.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeSample, type SyntheticOptions } from '../sources/synthetic.ts';

export interface Share {
  readonly options: SyntheticOptions;
  readonly folder: string;
  readonly start: number;
  readonly end: number;
}

export const imageName = (index: number): string => `${String(index).padStart(6, '0')}.png`;

export default async function render({ options, folder, start, end }: Share): Promise<string[]> {
  const labels: string[] = [];
  for (let i = start; i < end; i++) {
    const { latex, png } = await makeSample(options, i);
    await writeFile(join(folder, imageName(i)), png);
    labels.push(latex);
  }
  return labels;
}
