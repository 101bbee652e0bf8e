// One share of rendering, on a worker thread or in process: writes images, returns their labels and sizes.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeSample, type SyntheticOptions } from '../sources/synthetic.ts';

export interface Share {
  readonly options: SyntheticOptions;
  readonly folder: string;
  readonly start: number;
  readonly end: number;
}

export interface Rendered {
  readonly latex: string;
  readonly width: number;
  readonly height: number;
}

export const imageName = (index: number): string => `${String(index).padStart(6, '0')}.png`;

export default async function render({ options, folder, start, end }: Share): Promise<Rendered[]> {
  const rendered: Rendered[] = [];
  for (let i = start; i < end; i++) {
    const { latex, png, width, height } = await makeSample(options, i);
    await writeFile(join(folder, imageName(i)), png);
    rendered.push({ latex, width, height });
  }
  return rendered;
}
