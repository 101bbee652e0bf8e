// How charts are drawn: kept for every chart and every visit. The zoom is for the page on screen.
import { signal } from '@preact/signals';
import { isBoolean, oneOf, stored } from '../lib/stored.ts';

export const AXES = ['step', 'relative', 'time'] as const;
export type Axis = (typeof AXES)[number];

export const axis = stored<Axis>('axis', 'step', oneOf(...AXES));
export const logScale = stored('logScale', false, isBoolean);
export const smoothing = stored(
  'smoothing',
  0,
  (value): value is number => typeof value === 'number' && value >= 0 && value < 1,
);

export interface Zoom {
  readonly from: number;
  readonly to: number;
}

/** The span that every chart of the page shows; null for all of it. */
export const zoom = signal<Zoom | null>(null);
