// A nested configuration as lines of dotted keys and texts, so that two can be compared line by line.

export function flatten(value: unknown, prefix = ''): Map<string, string> {
  const out = new Map<string, string>();
  const walk = (item: unknown, path: string): void => {
    const isTree = typeof item === 'object' && item !== null && !Array.isArray(item);
    const entries = isTree ? Object.entries(item) : [];
    if (entries.length === 0) {
      if (path !== '') out.set(path, typeof item === 'string' ? item : (JSON.stringify(item) ?? ''));
      return;
    }
    for (const [key, child] of entries) walk(child, path === '' ? key : `${path}.${key}`);
  };
  walk(value, prefix);
  return out;
}

export interface ConfigLine {
  readonly key: string;
  /** one a run; undefined where the run lacks the key */
  readonly values: readonly (string | undefined)[];
  readonly differs: boolean;
}

/** Every key of any of the configurations, in the order in which they first come up. */
export function linesOf(configs: readonly Map<string, string>[]): ConfigLine[] {
  const keys = new Set(configs.flatMap((config) => [...config.keys()]));
  return Array.from(keys, (key) => {
    const values = configs.map((config) => config.get(key));
    return { key, values, differs: values.some((value) => value !== values[0]) };
  });
}
