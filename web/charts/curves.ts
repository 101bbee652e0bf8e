// From the server's bands to what uPlot draws: one table over the union of all x, with four columns a curve (the raw
// line, the smoothed one, the band's edges).
import uPlot from 'uplot';
import type { Band } from '../lib/api.ts';
import { smooth } from './smoothing.ts';

export interface Curve {
  /** the run's name, or what else tells the curves of a chart apart */
  readonly name: string;
  readonly color: string;
  readonly band: Band;
}

export const COLUMNS = 4;

/** Rows for uPlot: x, then for each curve raw, smoothed, low, high. On a log scale what is not above 0 is left out. */
export function tableOf(curves: readonly Curve[], smoothing: number, log: boolean): uPlot.AlignedData {
  const shown = (values: readonly number[]): (number | null)[] =>
    log ? values.map((value) => (value > 0 ? value : null)) : (values as number[]);
  const tables = curves.map(({ band }): uPlot.AlignedData => {
    const nothing = band.x.map(() => null);
    return [
      band.x as number[],
      shown(band.mean),
      smoothing > 0 ? shown(smooth(band.x, band.mean, smoothing)) : nothing,
      band.low ? shown(band.low) : nothing,
      band.high ? shown(band.high) : nothing,
    ];
  });
  if (tables.length === 1) return tables[0]!;
  return uPlot.join(tables);
}
