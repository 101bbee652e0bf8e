// The calls of SwanLab's API that a run needs, and where its key and host come from: flags, environment, SwanLab's netrc.
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { InputError, messageOf, RunError } from '../../shared/errors.ts';
import type { ExportSettings } from './contract.ts';

const DEFAULT_API = 'https://api.swanlab.cn';
const DEFAULT_WEB = 'https://swanlab.cn';
const TIMEOUT_MS = 10_000;

export interface Credentials {
  readonly key: string;
  /** scheme, host and port */
  readonly api: string;
  readonly web: string;
}

/** What may pass by itself: no answer, or one of the server's own faults. */
export class Unreachable extends RunError {}

export async function findCredentials(settings: ExportSettings): Promise<Credentials> {
  const { env } = process;
  const netrc =
    (await readNetrc(join('.swanlab', '.netrc'))) ?? (await readNetrc(join(homedir(), '.swanlab', '.netrc')));
  const key = settings.swanlabKey ?? env.SWANLAB_API_KEY ?? netrc?.key;
  if (!key)
    throw new InputError('no API key: give --swanlab-key, set SWANLAB_API_KEY, or log in once with SwanLab’s own tool');
  const given = settings.swanlabHost ?? env.SWANLAB_API_HOST;
  const api = origin(given ?? netrc?.api ?? DEFAULT_API);
  const web = origin(env.SWANLAB_WEB_HOST ?? (given === undefined ? (netrc?.web ?? DEFAULT_WEB) : given));
  return { key, api, web };
}

/** Scheme, host and port of an address; https where it names none. */
function origin(address: string): string {
  try {
    const { origin } = new URL(address.includes('://') ? address : `https://${address}`);
    if (origin === 'null') throw new Error('no host');
    return origin;
  } catch {
    throw new InputError(`${address}: is no address; expected one such as ${DEFAULT_API}`);
  }
}

/** machine = API, login = web site, password = key; SwanLab keeps one entry. */
async function readNetrc(file: string): Promise<Credentials | null> {
  const text = await readFile(file, 'utf8').catch(() => '');
  const word = (name: string): string => new RegExp(`(?:^|\\s)${name}\\s+(\\S+)`).exec(text)?.[1] ?? '';
  const [api, web, key] = [word('machine').replace(/\/api$/, ''), word('login'), word('password')];
  return api && web && key ? { key, api, web } : null;
}

export interface Experiment {
  readonly id: string;
  /** the run's page */
  readonly page: string;
  /** metric → the highest step that the server holds */
  readonly lastSteps: ReadonlyMap<string, number>;
  readonly lastEpoch: number;
}

interface Project {
  readonly cuid: string;
  readonly path: string;
  readonly version?: number;
  readonly name: string;
  readonly group: { readonly username: string };
}

export class SwanlabApi {
  private session = '';
  private user = '';
  private projectPath = '';
  private projectId = '';
  private experimentId = '';

  constructor(
    private readonly credentials: Credentials,
    private readonly version: string,
  ) {}

  /** Makes the project if need be, and the experiment, or takes up the one of this id. */
  async open(options: {
    readonly project: string;
    readonly workspace: string;
    readonly id: string;
    readonly name: string;
    readonly notes: string;
    readonly tags: readonly string[];
  }): Promise<Experiment> {
    await this.login();
    const owner = options.workspace || this.user;
    const path = `/project/${encodeURIComponent(owner)}/${encodeURIComponent(options.project)}`;
    let answer = await this.call('GET', path, undefined, [404]);
    if (answer.status === 404) {
      const body = { name: options.project, visibility: 'PRIVATE' };
      await this.call('POST', `/projects/${encodeURIComponent(owner)}`, body);
      answer = await this.call('GET', path);
    }
    const project = answer.data as Project;
    if (project.version !== 1)
      throw new InputError(
        `project ${options.project} is of an older kind; upload the run with: swanlab sync (--track swanlab)`,
      );
    this.projectId = project.cuid;
    this.projectPath = `${encodeURIComponent(project.group.username)}/${encodeURIComponent(project.name)}`;
    const made = await this.call('POST', `/project/${this.projectPath}/experiment`, {
      name: options.name,
      ...(options.notes ? { description: options.notes } : {}),
      createdAt: new Date().toISOString(),
      colors: ['#528d59', '#528d59'],
      ...(options.tags.length > 0 ? { labels: options.tags.map((name) => ({ name })) } : {}),
      cuid: options.id,
    });
    const { cuid, slug, createdAt } = made.data as { cuid: string; slug?: string; createdAt?: string };
    this.experimentId = cuid;
    const lastSteps = new Map<string, number>();
    let lastEpoch = 0;
    if (made.status === 200) {
      const since = Math.floor((Date.parse(createdAt ?? '') || 0) / 1000);
      const query = `?all=true&createdAt=${since}`;
      const held = await this.call('GET', `/house/metrics/summaries/${this.projectId}/${cuid}${query}`);
      const { scalar, media, log } = held.data as Record<string, { key: string; step: number }[] | undefined>;
      for (const { key, step } of [...(scalar ?? []), ...(media ?? [])]) lastSteps.set(key, step);
      lastEpoch = log?.[0]?.step ?? 0;
    }
    return {
      id: cuid,
      page: `${this.credentials.web}/@${this.projectPath}/runs/${slug || cuid}`,
      lastSteps,
      lastEpoch,
    };
  }

  async profile(part: 'config' | 'metadata' | 'requirements', content: unknown): Promise<void> {
    await this.call('PUT', `/project/${this.projectPath}/runs/${this.experimentId}/profile`, { [part]: content });
  }

  async columns(series: readonly unknown[]): Promise<void> {
    await this.call('POST', `/projects/${this.projectPath}/series`, { series });
  }

  async metrics(type: 'scalar' | 'log' | 'media', metrics: readonly unknown[]): Promise<void> {
    const { projectId, experimentId } = this;
    await this.call('POST', '/house/metrics', { type, projectId, experimentId, metrics });
  }

  /** Stores files under their paths. */
  async resources(
    files: readonly { readonly path: string; readonly bytes: Buffer; readonly type: string }[],
  ): Promise<void> {
    const asked = await this.call('POST', '/resources/presigned/put', {
      experimentId: this.experimentId,
      paths: files.map(({ path }) => path),
    });
    const { urls } = asked.data as { urls?: string[] };
    if (urls?.length !== files.length) throw new RunError('the server gave no address to upload images to');
    for (const [i, { bytes, type }] of files.entries()) {
      const put = await reach(urls[i] as string, { method: 'PUT', body: bytes, headers: { 'content-type': type } });
      if (!put.ok) throw failure(put.status, 'an image', await put.text());
    }
  }

  async heartbeat(): Promise<void> {
    await this.call('POST', `/house/experiments/${this.experimentId}/heartbeat`, { flagId: this.experimentId });
  }

  async finish(state: 'FINISHED' | 'CRASHED' | 'ABORTED', time: string): Promise<void> {
    const body = { state, finishedAt: time, from: 'sdk' };
    await this.call('PUT', `/project/${this.projectPath}/runs/${this.experimentId}/state`, body);
  }

  private async login(): Promise<void> {
    const address = `${this.credentials.api}/api/login/api_key`;
    const answer = await reach(address, { method: 'POST', headers: { authorization: this.credentials.key } });
    if (!answer.ok) {
      const hint = answer.status === 401 || answer.status === 403 ? ': the API key was refused' : '';
      throw failure(answer.status, `login${hint}`, '');
    }
    const { sid, userInfo } = (await answer.json()) as { sid: string; userInfo: { username: string } };
    this.session = sid;
    this.user = userInfo.username;
  }

  private async call(
    method: string,
    path: string,
    body?: unknown,
    allowed: readonly number[] = [],
  ): Promise<{ status: number; data: unknown }> {
    for (let attempt = 0; ; attempt++) {
      const answer = await reach(`${this.credentials.api}/api${path}`, {
        method,
        headers: {
          cookie: `sid=${this.session}`,
          'content-type': 'application/json',
          'user-agent': this.version,
        },
        body: body === undefined ? undefined : JSON.stringify(body),
      });
      const text = await answer.text();
      if (answer.status === 401 && attempt === 0) {
        await this.login(); // The session has run out.
        continue;
      }
      if (!answer.ok && !allowed.includes(answer.status)) throw failure(answer.status, `${method} ${path}`, text);
      try {
        return { status: answer.status, data: JSON.parse(text) as unknown };
      } catch {
        return { status: answer.status, data: {} };
      }
    }
  }
}

function failure(status: number, what: string, text: string): Error {
  const message = `${what}: the server answered ${status} ${text.slice(0, 200)}`.trim();
  return status >= 500 || status === 429 || status === 408 ? new Unreachable(message) : new RunError(message);
}

async function reach(address: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(address, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    throw new Unreachable(`${new URL(address).origin} cannot be reached (${messageOf(cause)})`);
  }
}
