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

/** What the system refuses, in words; its own name what it was asked and the path once more. */
const REFUSALS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or folder',
  ENOTDIR: 'a part of its path is a file and no folder',
  EISDIR: 'it is a folder',
  EEXIST: 'it is there already',
  ENOTEMPTY: 'the folder is not empty',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'its disk can only be read',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EFBIG: 'the file would be too large',
  ENAMETOOLONG: 'its name is too long',
  ELOOP: 'its links go in a circle',
  EMFILE: 'too many files are open',
};

/** The message of anything thrown; of what the system refused, the reason alone: who catches it names the path. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return refusalOf(error)?.reason ?? error.message;
}

/** The same with the path that was refused, for who does not know it. */
export function messageWithPath(error: unknown): string {
  const path = refusalOf(error)?.path;
  return path === undefined ? messageOf(error) : `${path}: ${messageOf(error)}`;
}

/** Why the system refused a file, and which; by the message, all that comes from another thread. */
export function refusalOf(error: unknown): { readonly reason: string; readonly path: string | undefined } | undefined {
  const message = error instanceof Error ? error.message : '';
  const [, code = '', path] = /^(E[A-Z]+): .*?, \w+(?: '(.*?)')?/.exec(message) ?? [];
  const reason = REFUSALS[code];
  return reason === undefined ? undefined : { reason, path };
}
