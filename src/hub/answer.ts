// Checks the JSON that a hub answers.
import type { z } from 'zod';
import { RunError } from '../shared/errors.ts';

/** The answer in the expected form; anything else (a login page, a changed API) is an error that names the address. */
export function readAnswer<T extends z.ZodType>(schema: T, text: string, url: string): z.output<T> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new RunError(
      `${url}: expected JSON, got ${JSON.stringify(text.slice(0, 80))}; check the endpoint and the proxy.`,
    );
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw new RunError(
    `${url}: the hub's answer is not as expected: ${issue.path.join('.') || 'all'}: ${issue.message}.`,
  );
}
