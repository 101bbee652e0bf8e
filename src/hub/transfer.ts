// Fetches the files of a listing into their places: free space first, several connections, one progress bar, every file
// that failed named.
import { stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { messageOf, RunError } from '../shared/errors.ts';
import { bar, formatBytes } from '../shared/log.ts';
import { askSize, bytesThere, clearPartial, downloadFile, isWhole } from './download.ts';
import { HttpError } from './http.ts';
import type { Spot } from './layout.ts';
import { tellFault } from './listing.ts';
import { formatRepoName, type RepoName } from './names.ts';
import type { Listing, RemoteFile } from './repo.ts';

export interface TransferOptions {
  /** Connections at once. */
  readonly connections?: number;
  /** Called as bytes come; a bar on stderr without it. */
  readonly progress?: (done: number, total: number) => void;
}

export interface Transferred {
  /** Size of all the files. */
  readonly bytes: number;
  /** Bytes that came over the network. */
  readonly downloaded: number;
}

interface Job {
  readonly file: RemoteFile;
  readonly target: string;
}

export async function fetchFiles(
  repo: RepoName,
  files: readonly RemoteFile[],
  spot: Spot,
  listing: Listing,
  hasToken: boolean,
  { connections = 8, progress }: TransferOptions,
): Promise<Transferred> {
  const { client } = listing;
  const told = (error: unknown, path: string): unknown => tellFault(error, repo, hasToken, path);
  // Equal files share one place in Hugging Face's cache.
  const jobs = new Map<string, Job>();
  let bytes = 0;
  await pooled(files, connections, async (file) => {
    try {
      const size = file.size ?? (await askSize(client, file.url));
      bytes += size ?? 0;
      jobs.set(spot.target(file), { file: { ...file, size }, target: spot.target(file) });
    } catch (error) {
      throw told(error, file.path);
    }
  });
  // Small files first: what is wrong with the repository or the token shows at once.
  const ordered = [...jobs.values()].sort((a, b) => (a.file.size ?? 0) - (b.file.size ?? 0));
  const there = new Map<Job, number>();
  for (const job of ordered) there.set(job, await bytesOnDisk(job));
  const total = sum(ordered.map(({ file }) => file.size ?? 0));
  const before = sum([...there.values()]);
  await checkSpace(spot.root, total - before);

  const meter = startMeter(`fetching ${repo.id}`, before, total, progress);
  const stop = new AbortController();
  const transfer = {
    client: client.withSignal(AbortSignal.any([stop.signal, ...(client.signal ? [client.signal] : [])])),
    slot: limiter(connections),
    count: meter.add,
  };
  const faults: { path: string; error: unknown }[] = [];
  try {
    await pooled(ordered, connections, async (job) => {
      const { file, target } = job;
      if (stop.signal.aborted) return;
      try {
        const sized = there.get(job) === file.size && (await stat(target).catch(() => undefined)) !== undefined;
        if (sized && (await isWhole(file, target))) return await clearPartial(target);
        if (sized) meter.add(-file.size!);
        await downloadFile(file, target, transfer);
      } catch (error) {
        if (stop.signal.aborted) return;
        faults.push({ path: file.path, error: told(error, file.path) });
        // What refuses one file refuses them all, and a full disk takes no other.
        if (error instanceof HttpError || isDiskFull(error)) stop.abort(error);
      }
    });
  } finally {
    meter.stop();
  }
  client.signal?.throwIfAborted();
  if (faults.length > 0) throw faultOf(repo, faults, files.length);
  await spot.publish(files);
  return { bytes, downloaded: meter.downloaded() };
}

async function bytesOnDisk({ file, target }: Job): Promise<number> {
  const info = await stat(target).catch(() => undefined);
  return info?.size === file.size ? (file.size ?? 0) : bytesThere(file, target);
}

function faultOf(repo: RepoName, faults: readonly { path: string; error: unknown }[], count: number): Error {
  const [first] = faults;
  if (faults.length === 1 && first?.error instanceof Error && first.error.name === 'InputError') return first.error;
  const lines = faults.map(({ path, error }) => `  ${path}: ${messageOf(error)}`);
  return new RunError(
    `${formatRepoName(repo)}: ${faults.length} of ${count} files failed; the same command goes on from here:\n${lines.join('\n')}`,
  );
}

function isDiskFull(error: unknown): boolean {
  return /^(ENOSPC|EDQUOT)$/.test((error as NodeJS.ErrnoException).code ?? '');
}

async function checkSpace(folder: string, needed: number): Promise<void> {
  let at = folder;
  while (!(await stat(at).catch(() => undefined)) && dirname(at) !== at) at = dirname(at);
  const { bavail, bsize } = await statfs(at);
  if (bavail * bsize < needed)
    throw new RunError(
      `${folder}: ${formatBytes(needed)} to fetch, ${formatBytes(bavail * bsize)} free; make room or choose another disk by --out or --cache-dir.`,
    );
}

/** The bar, and how many bytes came. */
function startMeter(title: string, before: number, total: number, progress: TransferOptions['progress']) {
  const shown = progress ? undefined : bar(title, total, { from: before, format: formatBytes });
  const started = performance.now();
  let done = before;
  let downloaded = 0;
  return {
    add(bytes: number): void {
      done += bytes;
      if (bytes > 0) downloaded += bytes;
      const rate = downloaded / Math.max(0.001, (performance.now() - started) / 1000);
      shown?.update(done, `${formatBytes(rate)}/s`);
      progress?.(done, total);
    },
    stop: (): void => shown?.stop(),
    downloaded: (): number => downloaded,
  };
}

/** Runs at most `count` tasks at a time, in the order in which they came. */
function limiter(count: number): <T>(task: () => Promise<T>) => Promise<T> {
  let free = count;
  const waiting: (() => void)[] = [];
  return async (task) => {
    if (free > 0) free--;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await task();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else free++;
    }
  };
}

async function pooled<T>(items: readonly T[], count: number, task: (item: T) => Promise<void>): Promise<void> {
  const slot = limiter(count);
  await Promise.all(items.map((item) => slot(() => task(item))));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
