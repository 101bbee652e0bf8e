// What people read of the scores: their names, in the order of tables, and their numbers.
import type { MetricName } from './metrics.ts';

interface Label {
  readonly label: string;
  readonly best: 'high' | 'low' | null;
}

export const METRIC_LABELS: Readonly<Record<MetricName, Label>> = {
  exactMatch: { label: 'Exact match, raw', best: 'high' },
  exactMatchNormalized: { label: 'Exact match, UniMERNet’s spacing', best: 'high' },
  exactMatchCanonical: { label: 'Exact match, canonical tokens', best: 'high' },
  withinOne: { label: 'At most 1 token wrong', best: 'high' },
  withinTwo: { label: 'At most 2 tokens wrong', best: 'high' },
  editDistance: { label: 'Edit distance (UniMERNet)', best: 'low' },
  editDistanceCanonical: { label: 'Edit distance, canonical characters', best: 'low' },
  bleuUnimernet: { label: 'BLEU-4 (UniMERNet)', best: 'high' },
  bleuIm2markup: { label: 'BLEU-4 (im2markup)', best: 'high' },
  editAccuracyIm2markup: { label: 'Edit distance accuracy (im2markup)', best: 'high' },
  boxMatch: { label: 'Box match', best: 'high' },
  boxMatchExact: { label: 'Box match of 1', best: 'high' },
  boxMatchUnscored: { label: 'Without a box match', best: null },
  renderable: { label: 'Predictions that render', best: 'high' },
  renderableTruths: { label: 'Truths that render', best: null },
  repetition: { label: 'Predictions that end in a loop', best: 'low' },
};

export const METRIC_NAMES = Object.keys(METRIC_LABELS) as readonly MetricName[];

export const formatScore = (value: number | undefined): string => value?.toFixed(4) ?? '–';
