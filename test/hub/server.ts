// A hub for tests: both hubs' protocols on one port and their storage on another, with every kind of failure on request.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecure } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export type Kind = 'model' | 'dataset';

export interface Repo {
  readonly kind: Kind;
  readonly id: string;
  readonly files: Readonly<Record<string, Buffer | string>>;
  /** Other branches, tags or commits and their files. */
  readonly revisions?: Readonly<Record<string, Readonly<Record<string, Buffer | string>>>>;
  /** Only who shows it gets in. */
  readonly token?: string;
  readonly gated?: boolean;
}

export interface Seen {
  readonly host: 'hub' | 'storage';
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  /** The file asked for, when it is one. */
  readonly file?: string;
  readonly range?: string;
}

export interface Fault {
  /** An answer in place of the real one. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** The connection is cut after so many bytes of the body. */
  readonly cutAfter?: number;
  readonly corrupt?: boolean;
  readonly ignoreRange?: boolean;
  /** A range that begins so much later is sent in place of the one asked for. */
  readonly shiftRange?: number;
  /** Headers of the real answer that are left out, or replaced. */
  readonly drop?: readonly string[];
  readonly replace?: Readonly<Record<string, string>>;
  /** Pause before each chunk of the body. */
  readonly slowMs?: number;
  /** The request is never answered. */
  readonly silent?: boolean;
}

interface Content {
  readonly path: string;
  readonly bytes: Buffer;
  readonly sha256: string;
  readonly oid: string;
  readonly lfs: boolean;
}

/** Bodies go out in pieces of so many bytes, unless the server is told otherwise. */
export const CHUNK = 16 << 10;
const sha1 = (data: Buffer | string): string => createHash('sha1').update(data).digest('hex');
const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex');

export class HubServer {
  readonly seen: Seen[] = [];
  /** Bytes of file bodies sent. */
  served = 0;
  chunk = CHUNK;
  /** Entries of one page of Hugging Face's list of files. */
  pageSize = 1000;
  fault: (seen: Seen) => Fault | undefined = () => undefined;
  onServe: () => void = () => {};
  /** Changes a listing before it is sent. */
  editListing: (entries: Record<string, unknown>[]) => void = () => {};
  /** Sizes that ModelScope's list of a data set says. */
  datasetSize: (bytes: number) => number = () => 0;
  private readonly repos = new Map<string, Repo>();
  private constructor(
    private readonly hub: Server,
    private readonly store: Server,
    private readonly scheme: string,
  ) {}

  /** With `secure` both hosts speak TLS under the certificate of tls/cert.pem, which nobody trusts by default. */
  static async start({ secure = false } = {}): Promise<HubServer> {
    const read = (name: string): Buffer => readFileSync(new URL(`./tls/${name}.pem`, import.meta.url));
    const create = (): Server => (secure ? createSecure({ cert: read('cert'), key: read('key') }) : createServer());
    const hub = create();
    const store = create();
    const server = new HubServer(hub, store, secure ? 'https' : 'http');
    hub.on('request', (request, response) => void server.answer('hub', request, response));
    store.on('request', (request, response) => void server.answer('storage', request, response));
    for (const one of [hub, store]) await once(one.listen(0, '127.0.0.1'), 'listening');
    return server;
  }

  get endpoint(): string {
    return `${this.scheme}://${hostOf(this.hub)}`;
  }

  get storage(): string {
    return `${this.scheme}://${hostOf(this.store)}`;
  }

  /** Environment of a client that knows no other hub and keeps everything below `home`. */
  env(home: string): Record<string, string> {
    return {
      HOME: home,
      HF_ENDPOINT: this.endpoint,
      HF_HOME: `${home}/hf`,
      MODELSCOPE_ENDPOINT: this.endpoint,
      MODELSCOPE_CACHE: `${home}/ms`,
    };
  }

  add(repo: Repo): void {
    this.repos.set(`${repo.kind}:${repo.id}`, repo);
  }

  reset(): void {
    this.repos.clear();
    this.seen.length = 0;
    this.served = 0;
    this.pageSize = 1000;
    this.fault = () => undefined;
    this.onServe = () => {};
    this.editListing = () => {};
    this.datasetSize = () => 0;
  }

  async close(): Promise<void> {
    for (const one of [this.hub, this.store]) {
      one.closeAllConnections();
      one.close();
      await once(one, 'close');
    }
  }

  private async answer(host: Seen['host'], request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => {});
    const url = new URL(request.url ?? '/', 'http://x');
    const file =
      url.searchParams.get('FilePath') ??
      decodeURIComponent(
        /\/resolve\/[^/]+\/(.*)$/.exec(url.pathname)?.[1] ??
          /^\/store\/[^/]+\/[^/]+\/(.*)$/.exec(url.pathname)?.[1] ??
          '',
      );
    const { range } = request.headers;
    const seen: Seen = {
      host,
      method: request.method ?? '',
      url: request.url ?? '',
      headers: request.headers,
      file: file === '' ? undefined : file,
      range,
    };
    this.seen.push(seen);
    const fault = this.fault(seen) ?? {};
    if (fault.silent) return;
    if (fault.status !== undefined) {
      response.writeHead(fault.status, fault.headers).end(fault.body ?? '');
      return;
    }
    const send = (content: Content, headers: Record<string, string>): Promise<void> =>
      this.sendFile(request, response, content, headers, fault);
    try {
      if (host === 'storage') await this.storageAnswer(url, response, send);
      else if (url.pathname.startsWith('/api/v1/')) await this.modelScope(request, url, response, send);
      else await this.huggingFace(request, url, response, send);
    } catch {
      response.destroy();
    }
  }

  private contents(repo: Repo, revision: string): { contents: Content[]; commit: string } | undefined {
    const named = { main: repo.files, master: repo.files, ...repo.revisions };
    for (const [name, files] of Object.entries(named)) {
      const contents = Object.entries(files).map(([path, data]) => contentOf(path, data));
      const commit = sha1(contents.map(({ path, oid }) => path + oid).join());
      if (revision === name || revision === commit) return { contents, commit };
    }
    return undefined;
  }

  private async huggingFace(request: IncomingMessage, url: URL, response: ServerResponse, send: Send): Promise<void> {
    const path = url.pathname;
    const api = /^\/api\/(model|dataset)s\/(.+?)\/(revision|tree)\/([^/]+)$/.exec(path);
    const raw = /^\/(datasets\/)?(.+?)\/resolve\/([^/]+)\/(.+)$/.exec(path);
    const refuse = (status: number, code: string): void =>
      void response
        .writeHead(status, { 'x-error-code': code, 'content-type': 'application/json' })
        .end(`{"error":"${code}"}`);
    const kind = (api?.[1] ?? (raw?.[1] ? 'dataset' : 'model')) as Kind;
    const repo = this.repos.get(`${kind}:${api?.[2] ?? raw?.[2]}`);
    const login = request.headers.authorization === `Bearer ${repo?.token}`;
    if (repo === undefined) return refuse(401, 'RepoNotFound');
    if (repo.gated && raw && !login) return refuse(403, 'GatedRepo');
    if (repo.token !== undefined && !repo.gated && !login) return refuse(401, 'RepoNotFound');
    const found = this.contents(repo, decodeURIComponent(api?.[4] ?? raw?.[3] ?? ''));
    if (found === undefined) return refuse(404, 'RevisionNotFound');
    const { contents, commit } = found;
    if (api?.[3] === 'revision')
      return json(response, { id: repo.id, sha: commit, siblings: contents.map(({ path }) => ({ rfilename: path })) });
    if (api) return this.huggingFaceTree(url, response, contents);
    const content = contents.find((one) => one.path === decodeURIComponent(raw![4]!));
    if (content === undefined) return refuse(404, 'EntryNotFound');
    const headers = { 'x-repo-commit': commit, etag: `"${content.oid}"` };
    if (!content.lfs) return send(content, headers);
    const location = `${this.storage}/store/${encodeURIComponent(`${kind}:${repo.id}`)}/${commit}/${encodeURI(content.path)}?signature=1`;
    const linked = { 'x-linked-etag': `"${content.sha256}"`, 'x-linked-size': String(content.bytes.length) };
    response.writeHead(302, { ...headers, ...linked, location }).end();
  }

  private huggingFaceTree(url: URL, response: ServerResponse, contents: readonly Content[]): void {
    const folders = new Set(contents.flatMap(({ path }) => (path.includes('/') ? [path.split('/')[0]!] : [])));
    const entries: Record<string, unknown>[] = [
      ...[...folders].map((path) => ({ type: 'directory', oid: sha1(path), size: 0, path })),
      ...contents.map(({ path, bytes, oid, sha256: sum, lfs }) => ({
        type: 'file',
        path,
        size: bytes.length,
        oid,
        ...(lfs ? { lfs: { oid: sum, size: bytes.length, pointerSize: 134 }, xetHash: sum } : {}),
      })),
    ];
    this.editListing(entries);
    const from = Number(url.searchParams.get('cursor') ?? 0);
    const next = new URL(url);
    next.searchParams.set('cursor', String(from + this.pageSize));
    const more = from + this.pageSize < entries.length;
    // As from behind a mirror: the hub's own address, which the test machine cannot reach.
    const link: Record<string, string> = more
      ? { link: `<https://hub.invalid${next.pathname}${next.search}>; rel="next"` }
      : {};
    json(response, entries.slice(from, from + this.pageSize), link);
  }

  private async modelScope(request: IncomingMessage, url: URL, response: ServerResponse, send: Send): Promise<void> {
    const [, kind, rest = ''] = /^\/api\/v1\/(model|dataset)s\/(.+)$/.exec(url.pathname) ?? [];
    const [, id = '', verb] = /^(\d+|[^/]+\/[^/]+)(?:\/(.+))?$/.exec(rest) ?? [];
    const refuse = (status: number, message: string): void =>
      void response
        .writeHead(status, { 'content-type': 'application/json' })
        .end(JSON.stringify({ Code: status, Success: false, Message: message }));
    const known = [...this.repos.values()].filter((one) => one.kind === kind);
    const repo = known.find((one) => one.id === id || String(numberOf(one.id)) === id);
    if (repo === undefined) return refuse(404, 'Record not found');
    const { authorization, cookie } = request.headers;
    const login = authorization === `Bearer ${repo.token}` || cookie?.includes(`m_session_id=${repo.token}`);
    if (repo.token !== undefined && !login) return refuse(403, 'private, not logged in');
    const found = this.contents(repo, url.searchParams.get('Revision') ?? 'master');
    if (found === undefined) return refuse(404, 'revision not found');
    const { contents, commit } = found;
    const data = (Data: unknown): void =>
      json(response, { Code: 200, Success: true, Message: 'success', RequestId: 'r', Data });
    if (verb === undefined) return data({ Id: numberOf(repo.id), Type: 4, Name: repo.id.split('/')[1], Path: repo.id });
    if (verb === 'revisions') {
      const of = (names: readonly string[]): unknown => names.map((Revision) => ({ Revision, CreatedAt: 1700000000 }));
      return data({ RevisionMap: { Branches: of(['master']), Tags: of(Object.keys(repo.revisions ?? {})) } });
    }
    if (verb === 'repo/files' || verb === 'repo/tree') {
      const entries = contents.map(({ path, bytes, sha256: sum, lfs }) => ({
        Name: path.split('/').at(-1),
        Path: path,
        Type: 'blob',
        Revision: commit,
        IsLFS: lfs,
        Mode: '33188',
        CommittedDate: 1700000000,
        ...(verb === 'repo/files' ? { Size: bytes.length, Sha256: sum } : { Size: this.datasetSize(bytes.length) }),
      })) as Record<string, unknown>[];
      entries.push({ Name: 'folder', Path: 'folder', Type: 'tree', Size: 0, Sha256: '', Revision: commit });
      this.editListing(entries);
      const size = Number(url.searchParams.get('PageSize') ?? entries.length);
      const from = (Number(url.searchParams.get('PageNumber') ?? 1) - 1) * size;
      return data({ Files: entries.slice(from, from + size), TotalCount: entries.length });
    }
    const content = contents.find((one) => one.path === url.searchParams.get('FilePath'));
    if (verb !== 'repo' || content === undefined) return refuse(404, 'file not found');
    if (!content.lfs) return send(content, { etag: `"${content.oid}"` });
    const location = `${this.storage}/store/${encodeURIComponent(`${kind}:${repo.id}`)}/${commit}/${encodeURI(content.path)}?signature=1`;
    response.writeHead(302, { location }).end();
  }

  private async storageAnswer(url: URL, response: ServerResponse, send: Send): Promise<void> {
    const [, name = '', commit = '', path = ''] = /^\/store\/([^/]+)\/([^/]+)\/(.+)$/.exec(url.pathname) ?? [];
    const repo = this.repos.get(decodeURIComponent(name));
    const content = repo && this.contents(repo, commit)?.contents.find((one) => one.path === decodeURIComponent(path));
    if (content === undefined || url.searchParams.get('signature') !== '1') return void response.writeHead(403).end();
    await send(content, { etag: `"${sha1(content.sha256)}"` });
  }

  private async sendFile(
    request: IncomingMessage,
    response: ServerResponse,
    { bytes }: Content,
    headers: Record<string, string>,
    fault: Fault,
  ): Promise<void> {
    const range = fault.ignoreRange ? undefined : /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const start = range ? Number(range[1]) + (fault.shiftRange ?? 0) : 0;
    const end = range?.[2] ? Math.min(bytes.length, Number(range[2]) + 1) : bytes.length;
    const outside = range !== undefined && range !== null && start >= bytes.length;
    const all: Record<string, string> = {
      'accept-ranges': 'bytes',
      'content-length': String(outside ? 0 : end - start),
      ...(range
        ? { 'content-range': outside ? `bytes */${bytes.length}` : `bytes ${start}-${end - 1}/${bytes.length}` }
        : {}),
      ...headers,
      ...fault.replace,
    };
    for (const name of fault.drop ?? []) delete all[name];
    response.writeHead(outside ? 416 : range ? 206 : 200, all);
    if (outside || request.method === 'HEAD') return void response.end();
    let body = bytes.subarray(start, end);
    if (fault.corrupt) body = Buffer.from(body.map((byte, i) => (i === 0 ? byte ^ 1 : byte)));
    for (let at = 0; at < body.length; at += this.chunk) {
      if (fault.slowMs) await sleep(fault.slowMs);
      const chunk = body.subarray(at, Math.min(at + this.chunk, fault.cutAfter ?? body.length));
      if (chunk.length > 0) await new Promise<void>((resolve) => response.write(chunk, () => resolve()));
      if (response.destroyed) return;
      this.served += chunk.length;
      this.onServe();
      if (fault.cutAfter !== undefined && at + this.chunk >= fault.cutAfter) {
        await sleep(5); // What was written leaves first.
        return void response.destroy();
      }
    }
    response.end();
  }
}

type Send = (content: Content, headers: Record<string, string>) => Promise<void>;

function hostOf(server: Server): string {
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function json(response: ServerResponse, value: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
}

const summed = new Map<Buffer | string, { bytes: Buffer; sha256: string; oid: string }>();

function contentOf(path: string, data: Buffer | string): Content {
  let sums = summed.get(data);
  if (sums === undefined) {
    const bytes = Buffer.from(data);
    sums = { bytes, sha256: sha256(bytes), oid: sha1(Buffer.concat([Buffer.from(`blob ${bytes.length}\0`), bytes])) };
    summed.set(data, sums);
  }
  return { path, ...sums, lfs: /\.(safetensors|bin|parquet)$/.test(path) };
}

function numberOf(id: string): number {
  return Number.parseInt(sha1(id).slice(0, 6), 16);
}

/** Bytes that are the same at every run and compress badly. */
export function noise(size: number, seed: number): Buffer {
  const bytes = Buffer.alloc(size);
  let state = seed * 2654435761 + 1;
  for (let i = 0; i < size; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/** The files of a small model repository, with what no model needs beside them. */
export function modelFiles(seed = 1, weightBytes = 600_000): Record<string, Buffer | string> {
  const shard = (k: number): string => `model-0000${k}-of-00002.safetensors`;
  return {
    '.gitattributes': '*.safetensors filter=lfs',
    'README.md': '# A model',
    'config.json': `{"model_type":"qwen2_vl","seed":${seed}}`,
    'generation_config.json': '{}',
    'preprocessor_config.json': '{"do_resize":true}',
    'tokenizer.json': '{"version":"1.0"}',
    'tokenizer_config.json': '{"model_max_length":32768}',
    'vocab.json': '{}',
    'merges.txt': '#version: 0.2\n',
    LICENSE: 'Apache-2.0',
    'model.safetensors.index.json': JSON.stringify({ weight_map: { a: shard(1), b: shard(2) } }),
    [shard(1)]: noise(weightBytes, seed),
    [shard(2)]: noise(Math.round(weightBytes / 4), seed + 1),
    'pytorch_model.bin': noise(1000, seed),
    'assets/demo.png': noise(1000, seed),
    'onnx/model.safetensors': noise(1000, seed),
  };
}

/** Which of them a fetch brings. */
export const MODEL_FILES = Object.keys(modelFiles(1, 4)).filter((path) => !/README|\.bin$|\/|^\.git/.test(path));
