// HTTP for hubs: redirects that leave the token at home, proxies, and retries that wait as the hub asks.
import { setTimeout as sleep } from 'node:timers/promises';
import { type Dispatcher, request } from 'undici';
import { messageOf, RunError } from '../shared/errors.ts';
import { dispatcherFor } from './proxy.ts';
import type { Environment } from './settings.ts';

/** An answer that another try will not change. */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  constructor(
    readonly status: number,
    readonly url: URL,
    readonly headers: Headers,
    readonly body: string,
  ) {
    super(`${url.host} answered ${status}`);
  }
}

/** A failure that another try may mend, after `waitMs` when the hub said how long. */
export class Passing extends Error {
  override readonly name = 'Passing';
  constructor(
    message: string,
    readonly waitMs?: number,
    /** A hub that is asked too often and does not say how long wants longer waits than a broken connection. */
    readonly patience = 1,
  ) {
    super(message);
  }
}

export type Headers = Readonly<Record<string, string | undefined>>;

export interface Answer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Headers;
  readonly body: Dispatcher.ResponseData['body'];
  /** The last address, behind every redirect. */
  readonly url: URL;
  /** What identifies the content: the hub's own tag where it gives one, else the storage's. */
  readonly etag?: string;
}

export interface ClientOptions {
  readonly endpoint: string;
  /** Headers that go to the endpoint's origin and nowhere else. */
  readonly credentials?: Readonly<Record<string, string>>;
  readonly env: Environment;
  /** The first wait before another try; doubles with every failure. */
  readonly backoffMs?: number;
  /** How long a connection may stay silent. */
  readonly silenceMs?: number;
  readonly signal?: AbortSignal;
  readonly say?: (line: string) => void;
}

const TRIES = 6;
const REDIRECTS = 10;
/** A longer wait is told to the user, who may have better things to do. */
const LONGEST_WAIT_MS = 10 * 60_000;

export class Client {
  private readonly home: string;

  constructor(
    private readonly options: ClientOptions,
    /** Host → the moment before which it wants no request. */
    private readonly closedUntil = new Map<string, number>(),
  ) {
    this.home = new URL(options.endpoint).origin;
  }

  get signal(): AbortSignal | undefined {
    return this.options.signal;
  }

  /** This client with another signal; both keep the same waits. */
  withSignal(signal: AbortSignal): Client {
    return new Client({ ...this.options, signal }, this.closedUntil);
  }

  /** Text of an address, with retries; `check` may throw a Passing that asks for another. */
  text(url: string, check?: (text: string, headers: Headers) => void): Promise<{ text: string; headers: Headers }> {
    return this.retry(async () => {
      const { body, headers } = await this.open(url);
      const text = await body.text().catch((error: unknown) => {
        throw this.passing(new URL(url), error);
      });
      check?.(text, headers);
      return { text, headers };
    });
  }

  /** One GET behind its redirects, without retries: a 2xx answer or 416, or a thrown HttpError or Passing. */
  async open(address: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    let url = new URL(address);
    let linkedEtag: string | undefined;
    for (let hop = 0; hop <= REDIRECTS; hop++) {
      await this.waitFor(url.host);
      const answer = await this.send(url, headers);
      const own = flat(answer.headers);
      linkedEtag ??= own['x-linked-etag'];
      const { statusCode: status, body } = answer;
      const redirect = status >= 300 && status < 400 && own.location !== undefined;
      if (!redirect) {
        if ((status >= 200 && status < 300) || status === 416)
          return { status, headers: own, body, url, etag: strongTag(linkedEtag ?? own.etag) };
        throw this.refusal(status, url, own, await readSome(body));
      }
      await body.dump().catch(() => {});
      const next = URL.canParse(own.location!, url.href) ? new URL(own.location!, url) : undefined;
      const safe = next?.protocol === 'https:' || (next?.protocol === 'http:' && url.protocol === 'http:');
      if (next === undefined || !safe)
        throw new RunError(`${url.host} redirects to ${own.location}; expected an address as safe as its own.`);
      url = next;
    }
    throw new RunError(`${address}: more than ${REDIRECTS} redirects; check the endpoint.`);
  }

  /** Runs a task again after passing failures; one that gets further (`progress` grows) has all its tries anew. */
  async retry<T>(task: () => Promise<T>, progress: () => number = () => 0): Promise<T> {
    let failures = 0;
    let reached = progress();
    for (;;) {
      try {
        return await task();
      } catch (error) {
        if (!(error instanceof Passing) || this.signal?.aborted) throw error;
        if (progress() > reached) failures = 0;
        reached = progress();
        if (++failures >= TRIES)
          throw new RunError(`${error.message}, ${TRIES} times in a row; try again later, what is there is kept.`);
        const { backoffMs = 300 } = this.options;
        const waitMs = error.waitMs ?? backoffMs * error.patience * 2 ** (failures - 1) * (0.75 + Math.random() / 2);
        if (waitMs > LONGEST_WAIT_MS)
          throw new RunError(
            `${error.message} and asks to wait ${Math.ceil(waitMs / 60_000)} minutes; try again then.`,
          );
        await sleep(waitMs, undefined, { signal: this.signal });
      }
    }
  }

  /** The failure of a connection or a body, as one worth another try or not. */
  passing(url: URL, error: unknown): Error {
    if (this.signal?.aborted || error instanceof RunError || error instanceof Passing || error instanceof HttpError)
      return error as Error;
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (code === 'ENOTFOUND')
      return new RunError(
        `${url.host}: no such host, or no network (${messageOf(error)}); behind a proxy set HTTPS_PROXY, for a mirror ` +
          'HF_ENDPOINT or MODELSCOPE_ENDPOINT, and for what is cached --offline.',
      );
    if (/CERT|SIGNATURE|ALTNAME|UND_ERR_PRX_TLS/.test(code))
      return new RunError(
        `${url.host}: its certificate is not trusted (${messageOf(error)}); set NODE_EXTRA_CA_CERTS to your network's own.`,
      );
    if (/\(407\)|\b407\b/.test(messageOf(error)))
      return new RunError('the proxy wants a name and a password: HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT.');
    return new Passing(`${url.host}: ${messageOf(error)}`);
  }

  private async send(url: URL, headers: Readonly<Record<string, string>>): Promise<Dispatcher.ResponseData> {
    const { credentials, env, silenceMs = 30_000, signal } = this.options;
    try {
      const answer = await request(url, {
        headers: {
          'user-agent': 'texlens',
          // Sizes, ranges and sums are those of the plain bytes.
          'accept-encoding': 'identity',
          ...(url.origin === this.home ? credentials : {}),
          ...headers,
        },
        dispatcher: dispatcherFor(url, env),
        headersTimeout: silenceMs,
        bodyTimeout: silenceMs,
        signal,
      });
      // A body that nobody reads any more may still fail.
      answer.body.on('error', () => {});
      return answer;
    } catch (error) {
      throw this.passing(url, error);
    }
  }

  private refusal(status: number, url: URL, headers: Headers, body: string): Error {
    const answered = `${url.host} answered ${status}`;
    const waitMs = waitOf(headers);
    if (status === 429) {
      if (waitMs !== undefined) this.close(url.host, waitMs);
      return new Passing(`${answered} (too many requests)`, waitMs, 10);
    }
    if (status === 408 || status >= 500) return new Passing(answered, waitMs);
    // Storage is reached by signed addresses, which run out; the hub gives a new one.
    if (url.origin !== this.home && (status === 401 || status === 403))
      return new Passing(`${answered} to the address that the hub gave`);
    return new HttpError(status, url, headers, body);
  }

  private close(host: string, waitMs: number): void {
    const until = performance.now() + waitMs;
    if (until <= (this.closedUntil.get(host) ?? 0)) return;
    this.closedUntil.set(host, until);
    if (waitMs >= 2000 && waitMs <= LONGEST_WAIT_MS)
      this.options.say?.(`${host} asks to wait ${Math.ceil(waitMs / 1000)} s (too many requests)`);
  }

  private async waitFor(host: string): Promise<void> {
    const waitMs = (this.closedUntil.get(host) ?? 0) - performance.now();
    if (waitMs > LONGEST_WAIT_MS) throw new Passing(`${host} answered 429 (too many requests)`, waitMs);
    if (waitMs > 0) await sleep(waitMs, undefined, { signal: this.signal });
  }
}

function flat(headers: Dispatcher.ResponseData['headers']): Headers {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name.toLowerCase(),
      Array.isArray(value) ? value.join(', ') : value,
    ]),
  );
}

/** A tag that names bytes; a weak one says too little to append to what is there. */
function strongTag(etag: string | undefined): string | undefined {
  return etag === undefined || etag.startsWith('W/') ? undefined : etag.replaceAll('"', '');
}

/** The wait a hub asks for: `Retry-After` in seconds or as a date, or the `t=` of `RateLimit: "resolvers";r=0;t=55`. */
export function waitOf(headers: Headers): number | undefined {
  const after = headers['retry-after'];
  if (after !== undefined) {
    const ms = /^\d+$/.test(after.trim()) ? Number(after) * 1000 : Date.parse(after) - Date.now();
    if (!Number.isNaN(ms)) return Math.max(0, ms);
  }
  const seconds = /(?:^|;)\s*t=(\d+)/.exec(headers.ratelimit ?? '')?.[1];
  return seconds === undefined ? undefined : Number(seconds) * 1000;
}

/** The start of an error's body; the rest is dropped. */
async function readSome(body: Dispatcher.ResponseData['body']): Promise<string> {
  let text = '';
  try {
    for await (const chunk of body) {
      text += String(chunk);
      if (text.length > 4096) break;
    }
  } catch {
    // What came is enough.
  }
  return text.slice(0, 4096);
}
