// Many numbers at once as they stand in a line.
import { toValue, type Values } from './schema.ts';

/** Sets a value under any key there may be. */
export function setValue(values: Values, key: string, value: number): void {
  // A plain assignment to __proto__ would set no property.
  if (key === '__proto__')
    Object.defineProperty(values, key, { value: toValue(value), enumerable: true, configurable: true, writable: true });
  else values[key] = toValue(value);
}

/** Only what is a number. */
export const numbersOf = (values: Readonly<Record<string, unknown>>): Record<string, number> =>
  Object.fromEntries(Object.entries(values).filter((entry): entry is [string, number] => typeof entry[1] === 'number'));

/** Numbers as they stand in a line. */
export function asValues(numbers: Readonly<Record<string, number>>): Values {
  const out: Values = {};
  for (const [key, value] of Object.entries(numbersOf(numbers))) setValue(out, key, value);
  return out;
}
