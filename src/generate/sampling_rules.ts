// What may be asked of sampling, the same for the command line's flags and for what comes over HTTP.
import type { GenerateOptions } from './generator.ts';

export interface NumberRule {
  /** completes "expected …" */
  readonly expected: string;
  readonly allows: (value: number) => boolean;
}

const MOST_SEED = 2 ** 31 - 1;

export const SAMPLING_RULES = {
  temperature: { expected: 'a number, 0 or more', allows: (value) => value >= 0 && Number.isFinite(value) },
  /** 0 keeps the likeliest token alone */
  topP: { expected: 'a number of 0 to 1', allows: (value) => value >= 0 && value <= 1 },
  topK: { expected: 'a whole number, 0 or more', allows: (value) => value >= 0 && Number.isSafeInteger(value) },
  repetitionPenalty: { expected: 'a number above 0', allows: (value) => value > 0 && Number.isFinite(value) },
  seed: {
    expected: `a whole number from 0 to ${MOST_SEED}`,
    allows: (value) => value >= 0 && value <= MOST_SEED && Number.isInteger(value),
  },
} as const satisfies Partial<Record<keyof GenerateOptions, NumberRule>>;
