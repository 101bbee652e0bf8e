// The tensors of a file held against those that a model wants of it, and what is told where they do not fit.
import { sameShape } from '../../graph/types.ts';
import { hubName, type Parameter } from './parameters.ts';

const KINDS = ['misshapen', 'missing', 'unexpected'] as const;
type Kind = (typeof KINDS)[number];

export interface Fit {
  /** the file's own key of each tensor, by its published name */
  readonly keys: ReadonlyMap<string, string>;
  /** by kind, each tensor that does not fit */
  readonly faults: Readonly<Record<Kind, readonly string[]>>;
}

/**
 * @param names of the file's keys, where they are not the published ones of either layout
 * @param spare tells names that may stand there without being wanted
 */
export function fitTensors(
  wanted: readonly Parameter[],
  files: Iterable<string>,
  shapeOf: (key: string) => readonly number[],
  { names = (key) => key, spare = () => false }: { names?: (key: string) => string; spare?: (name: string) => boolean },
): Fit {
  const keys = new Map(Array.from(files, (key) => [hubName(names(key)), key]));
  const faults: Record<Kind, string[]> = { misshapen: [], missing: [], unexpected: [] };
  for (const { name, shape } of wanted) {
    const key = keys.get(name);
    if (key === undefined) faults.missing.push(`${name} [${shape.join(', ')}]`);
    else if (!sameShape(shapeOf(key), shape))
      faults.misshapen.push(`${key} is [${shapeOf(key).join(', ')}], expected [${shape.join(', ')}]`);
  }
  const known = new Set(wanted.map(({ name }) => name));
  for (const [name, key] of keys) if (!known.has(name) && !spare(name)) faults.unexpected.push(key);
  return { keys, faults };
}

const SHOWN = 2;

/** What does not fit, by kind: how many, and the first of them. Null where all does. */
export function misfit({ faults }: Fit): string | null {
  const told = KINDS.filter((kind) => faults[kind].length > 0).map((kind) => {
    const [count, shown] = [faults[kind].length, faults[kind].slice(0, SHOWN)];
    return `\n  ${count} ${kind}: ${shown.join('; ')}${count > SHOWN ? '; …' : ''}`;
  });
  return told.length === 0 ? null : told.join('');
}

/** What such faults most often come from, to follow "most likely ". */
export function likelyMistake({ faults: { misshapen, missing, unexpected } }: Fit): string {
  if (misshapen.length > 0) return 'it is of a model of another size';
  if (unexpected.length === 0) return 'a part of it is gone';
  return missing.length === 0 ? 'it is of a larger model' : 'it is of another kind of model';
}
