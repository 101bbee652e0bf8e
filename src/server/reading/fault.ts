// What a request is told instead of an answer, in the shape that OpenAI's clients know.
import type { Context } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { InputError, messageOf } from '../../shared/errors.ts';

type Status = 400 | 401 | 403 | 404 | 413 | 415 | 429 | 500 | 503;

export class RequestFault extends Error {
  constructor(
    readonly status: Status,
    message: string,
    readonly details: { param?: string; code?: string; retryAfter?: number } = {},
  ) {
    super(message);
  }
}

const typeOf = (status: number): string =>
  status === 401
    ? 'authentication_error'
    : status === 403
      ? 'permission_error'
      : status === 429
        ? 'rate_limit_error'
        : status >= 500
          ? 'server_error'
          : 'invalid_request_error';

export function answerFault(error: unknown, context: Context): Response {
  const status =
    error instanceof RequestFault || error instanceof HTTPException
      ? error.status
      : error instanceof InputError
        ? 400
        : 500;
  const { param = null, code = null, retryAfter } = error instanceof RequestFault ? error.details : {};
  if (retryAfter !== undefined) context.header('retry-after', String(retryAfter));
  return context.json({ error: faultOf(messageOf(error), status, param, code) }, status);
}

export const faultOf = (message: string, status: number, param: string | null = null, code: string | null = null) => ({
  message,
  type: typeOf(status),
  param,
  code,
});
