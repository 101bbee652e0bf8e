// The colours of runs laid over one another, by their place in the comparison. Told apart by the colour-blind as far as
// ten can be; one list for each ground.
import { computed } from '@preact/signals';
import { dark } from './theme.ts';

const LIGHT = [
  '#3b5bdb',
  '#e8590c',
  '#0f8a5f',
  '#c2255c',
  '#7048b6',
  '#0c8599',
  '#b08800',
  '#5c7080',
  '#8a4b2d',
  '#e64980',
];
const DARK = [
  '#7c96ff',
  '#ff9a52',
  '#3ecf8e',
  '#ff7ba8',
  '#b49cff',
  '#4dd0e1',
  '#f2c94c',
  '#a3b3c2',
  '#d99a76',
  '#ffa8cf',
];

const palette = computed(() => (dark.value ? DARK : LIGHT));

export const MOST_COMPARED = LIGHT.length;

export const colorOf = (index: number): string => palette.value[index % palette.value.length]!;
