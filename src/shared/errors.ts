// The two kinds of failure a user meets: bad usage or input (exit code 2) and everything else (exit code 1).

/** Bad usage or bad input: the message names the culprit, what was expected and the next step. Exit code 2. */
export class InputError extends Error {
  override readonly name = 'InputError';
  readonly exitCode = 2;
}

/** A failure at work that is not the input's fault (disk full, NaN loss, a backend that refuses). Exit code 1. */
export class RunError extends Error {
  override readonly name = 'RunError';
  readonly exitCode = 1;
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
