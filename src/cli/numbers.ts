// Numbers in flags.
import { InvalidArgumentError } from 'commander';

export const whole = (text: string): number => {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('expected a whole number.');
  return Number(text);
};
