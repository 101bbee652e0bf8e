// An answer of a server: what it holds, or the fault that it tells as an ApiError.

/** What the server answered instead of the thing asked for. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

interface Answer {
  readonly ok: boolean;
  readonly status: number;
  json(): Promise<unknown>;
}

export async function unwrap<T>(answering: Promise<Answer>): Promise<T> {
  const answer = await answering;
  const body: unknown = await answer.json().catch(() => null);
  if (answer.ok) return body as T;
  throw new ApiError(answer.status, toldBy(body) ?? `HTTP ${answer.status}`);
}

/** The message of a fault: `{"error": "…"}` of the dashboard's server, `{"error": {"message": "…"}}` of the reading one. */
export function toldBy(body: unknown): string | null {
  const told = (body as { error?: unknown } | null)?.error;
  const message = typeof told === 'object' ? (told as { message?: unknown } | null)?.message : told;
  return typeof message === 'string' ? message : null;
}
