// What a request is told whose keys or values are not as expected: the place, and what was expected there.
import type { z } from 'zod';
import { RequestFault } from './fault.ts';

interface Place {
  readonly param: string;
  readonly message: string;
}

export function shapeFault({ issues }: z.ZodError): RequestFault {
  const places = issues.map((issue) => placeOf(issue));
  const told = places.map(({ param, message }) => (param === '' ? message : `${param}: ${message}`)).join('; ');
  return new RequestFault(400, told, { param: places[0]?.param || undefined, code: 'invalid_request' });
}

function placeOf(issue: z.core.$ZodIssue, within: readonly PropertyKey[] = []): Place {
  const path = [...within, ...issue.path];
  if (issue.code === 'unrecognized_keys') {
    const [first, ...more] = issue.keys;
    const others = more.length > 0 ? `, nor ${more.join(', ')}` : '';
    return { param: [...path, first].join('.'), message: `is no parameter here${others}` };
  }
  // Of several shapes that a value may have, the one that it comes nearest to.
  const nearest =
    issue.code === 'invalid_union' ? issue.errors.flat().find((inner) => inner.path.length > 0) : undefined;
  if (nearest) return placeOf(nearest, path);
  return { param: path.join('.'), message: issue.message.replace(/^.*: (?=expected)/, '') };
}
