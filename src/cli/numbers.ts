// Numbers in flags.
import { InvalidArgumentError } from 'commander';
import type { NumberRule } from '../generate/sampling_rules.ts';

export const whole = (text: string): number => {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('expected a whole number.');
  return Number(text);
};

/** From 1. */
export const count = (text: string): number => {
  if (whole(text) === 0) throw new InvalidArgumentError('expected a whole number above 0.');
  return whole(text);
};

/** What is read again at once takes memory for each. */
export const upTo64 = (text: string): number => {
  if (whole(text) > 64) throw new InvalidArgumentError('expected a whole number from 0 to 64.');
  return whole(text);
};

export const portNumber = (text: string): number => {
  if (!/^\d+$/.test(text) || Number(text) > 65_535)
    throw new InvalidArgumentError('expected a whole number from 0 to 65535.');
  return Number(text);
};

/** A number by a rule that the command line has not for itself. */
export const ruled =
  ({ expected, allows }: NumberRule) =>
  (text: string): number => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (!allows(value)) throw new InvalidArgumentError(`expected ${expected}.`);
    return value;
  };
