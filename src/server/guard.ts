// What every request must pass: a Host that is really ours (against DNS rebinding), the token where one is set, and,
// for changes, the page's own origin and a JSON body (against other sites). Every answer carries a strict CSP. What does
// not pass is thrown, so that each server answers in the shape of its own API.
import { createHash, timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import type { Context, MiddlewareHandler } from 'hono';
import { getCookie, setCookie } from 'hono/cookie';
import { HTTPException } from 'hono/http-exception';
import { InputError } from '../shared/errors.ts';

const HEADERS = {
  // blob: is a picture that the reader of the page has just dropped on it.
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; font-src 'self'; " +
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
};

/** The security headers; `private` answers are not stored by any cache. */
export const headers: MiddlewareHandler = async (context, next) => {
  await next();
  for (const [name, value] of Object.entries(HEADERS)) context.res.headers.set(name, value);
  if (!context.res.headers.has('cache-control')) context.res.headers.set('cache-control', 'no-store');
};

export interface Access {
  /** the address listened on */
  readonly host: string;
  readonly token?: string;
}

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));

/** Refuses what would open the server to a network without a token. */
export function checkAccess({ host, token }: Access): void {
  if (token !== undefined && !/^[\w.~-]{8,}$/.test(token))
    throw new InputError('--token: expected 8 or more letters, digits or any of . _ ~ - (it stands in an address).');
  if (!isLoopback(host) && token === undefined)
    throw new InputError(
      `--host ${host}: others on the network could come in there; give --token as well, or leave --host out to listen on this machine alone.`,
    );
}

/** Refuses requests whose Host is a name that someone else may have pointed here. */
export function hostCheck(access: Access): MiddlewareHandler {
  const names = new Set(['localhost', access.host.toLowerCase(), hostname().toLowerCase()]);
  return async (context, next) => {
    const name = nameOf(context.req.header('host'));
    // An address cannot be rebound; only names can.
    const ours = name !== null && (names.has(name) || (isLoopback(access.host) ? isLoopback(name) : isIP(name) !== 0));
    if (!ours) throw refusal(403, `the Host header ${JSON.stringify(name)} is not this server's`);
    return next();
  };
}

function nameOf(header: string | undefined): string | null {
  const match = /^(?:\[([0-9a-f:.]+)\]|([\w.-]+))(?::\d+)?$/i.exec(header ?? '');
  return (match?.[1] ?? match?.[2])?.toLowerCase() ?? null;
}

/** Lets in who shows the token: in the address once (it moves to a cookie), as a cookie, or as a Bearer header. */
export function tokenCheck({ token }: Access): MiddlewareHandler {
  return async (context, next) => {
    if (token === undefined) return next();
    const offered = context.req.query('token');
    if (offered !== undefined && context.req.path === '/' && same(offered, token)) {
      setCookie(context, cookieOf(context), token, {
        httpOnly: true,
        sameSite: 'Strict',
        path: '/',
        maxAge: 30 * 86_400,
      });
      // A relative address, since a proxy may serve us under a path.
      return context.redirect('./');
    }
    const bearer = /^Bearer (.+)$/.exec(context.req.header('authorization') ?? '')?.[1];
    const shown = bearer ?? getCookie(context, cookieOf(context));
    if (shown !== undefined && same(shown, token)) return next();
    throw refusal(
      401,
      'a token is needed: open the address that texlens printed (it ends in /?token=…), or send it as "Authorization: Bearer …"',
    );
  };
}

/** Cookies know no ports: each server on a host has one of its own. */
function cookieOf(context: Context): string {
  const port = /:(\d+)$/.exec(context.req.header('host') ?? '')?.[1];
  return port === undefined ? 'texlens-token' : `texlens-token-${port}`;
}

function same(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

/** Whether the page that asks is our own; programs name none. */
function isOwnPage(context: Context): boolean {
  const origin = context.req.header('origin');
  const from = origin !== undefined && URL.canParse(origin) ? new URL(origin).host : null;
  return from !== null && from === context.req.header('host')?.toLowerCase();
}

const changes = (context: Context): boolean => !['GET', 'HEAD'].includes(context.req.method);

/** Changes come from our own page, or from a program that says so, and are JSON: no other site can send them. */
export const changeCheck: MiddlewareHandler = async (context, next) => {
  if (!changes(context)) return next();
  const origin = context.req.header('origin') ?? 'missing';
  if (!isOwnPage(context))
    throw refusal(403, `a change must come from this dashboard's own page (Origin was ${origin})`);
  if (!/^application\/json\b/i.test(context.req.header('content-type') ?? ''))
    throw refusal(415, 'a change must be sent as application/json');
  return next();
};

/** Questions come from our own page or from programs, which send no Origin; browsers send that of another site. */
export const originCheck: MiddlewareHandler = async (context, next) => {
  const origin = context.req.header('origin');
  if (changes(context) && origin !== undefined && !isOwnPage(context))
    throw refusal(403, `pages of other sites may not ask (Origin was ${origin})`);
  return next();
};

/** What a check throws. */
const refusal = (status: 401 | 403 | 415, message: string): HTTPException => new HTTPException(status, { message });

/** The shape of every refusal and fault of the dashboard. */
export function refuse(context: Context, status: 400 | 401 | 403 | 404 | 409 | 413 | 415 | 500, message: string) {
  return context.json({ error: message }, status);
}
