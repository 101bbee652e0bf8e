// A signal that outlives the page in localStorage; a value that no longer parses, or a full or barred store, is no error.
import { effect, type Signal, signal } from '@preact/signals';

export function stored<T>(key: string, initial: T, accept: (value: unknown) => value is T): Signal<T> {
  const name = `texlens.${key}`;
  const result = signal(initial);
  try {
    const value: unknown = JSON.parse(localStorage.getItem(name) ?? 'null');
    if (accept(value)) result.value = value;
  } catch {
    // Private windows bar the store: the setting then lasts as long as the page.
  }
  effect(() => {
    const text = JSON.stringify(result.value);
    try {
      localStorage.setItem(name, text);
    } catch {
      // See above.
    }
  });
  return result;
}

/** Accepts one of the given values. */
export const oneOf =
  <T extends string>(...values: readonly T[]) =>
  (value: unknown): value is T =>
    values.some((item) => item === value);

export const isBoolean = (value: unknown): value is boolean => typeof value === 'boolean';

export const isStringList = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string');
