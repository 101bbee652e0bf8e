// Where a repository's files lie on disk, as the hubs' own clients keep them, so that each finds what the other fetched.
//   Hugging Face        CACHE/models--O--N/{blobs/<digest>, snapshots/<commit>/… (relative links), refs/<revision>}
//   ModelScope ≤ 1.37   CACHE/models/O/N/…, or DIR/O/N/… with --cache-dir DIR; one revision; dots of N become ___
//   ModelScope ≥ 1.38   CACHE/models/O--N/snapshots/<revision>/…
// For ModelScope the older one is written, which scripts hard-code (./Qwen/Qwen2-VL-2B-Instruct) and newer clients find;
// a revision other than the default has no place in it and goes where the newer client puts it.
import { copyFile, lstat, mkdir, readFile, readlink, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { RunError } from '../shared/errors.ts';
import type { RepoName } from './names.ts';
import type { Listing, RemoteFile, RepoKind } from './repo.ts';

export interface Spot {
  /** The folder that a user is told. */
  readonly folder: string;
  /** What the place belongs to; one process at a time writes below it. */
  readonly root: string;
  /** Where the bytes of a file go. */
  readonly target: (file: RemoteFile) => string;
  /** Makes finished files what the hub's own client would have left. */
  readonly publish: (files: readonly RemoteFile[]) => Promise<void>;
}

export interface Roots {
  /** The hub's cache by its environment variables. */
  readonly cache: string;
  /** Asked for by --cache-dir. */
  readonly cacheDir?: string;
}

export function plainSpot(folder: string): Spot {
  return { folder, root: folder, target: ({ path }) => join(folder, path), publish: async () => {} };
}

/** The place for a listed repository: the one it already has, or a new one. */
export async function spotFor(repo: RepoName, kind: RepoKind, listing: Listing, roots: Roots): Promise<Spot> {
  if (repo.hub === 'hf') return huggingFaceSpot(repo, kind, listing, roots);
  const found = await findFolder(repo, kind, roots);
  const folder = found ?? modelScopeFolders(repo, kind, roots)[0]!;
  return folder.endsWith(newerFolder(repo, kind)) ? plainSpot(folder) : olderSpot(folder, repo, listing.revision);
}

/** The folder where a repository lies already, whoever put it there; its files may be incomplete. */
export async function findFolder(repo: RepoName, kind: RepoKind, roots: Roots): Promise<string | undefined> {
  if (repo.hub === 'hf') {
    const root = huggingFaceRoot(repo, kind, roots);
    const revision = repo.revision ?? 'main';
    const ref = await readFile(join(root, 'refs', revision), 'utf8').catch(() => undefined);
    const commit = ref?.trim() ?? revision;
    const folder = join(root, 'snapshots', commit);
    return /^[0-9a-f]{40}$/.test(commit) && (await isFolder(folder)) ? folder : undefined;
  }
  for (const folder of modelScopeFolders(repo, kind, roots)) {
    if (!(await isFolder(folder))) continue;
    const newer = folder.endsWith(newerFolder(repo, kind));
    if (newer || repo.revision === undefined || repo.revision === ((await olderRevision(folder)) ?? 'master'))
      return folder;
  }
  return undefined;
}

/** The older layout says in .mv which revision it holds: "Revision:v1.0,CreatedAt:1700000000". */
async function olderRevision(folder: string): Promise<string | undefined> {
  const told = await readFile(join(folder, '.mv'), 'utf8').catch(() => undefined);
  return /Revision:([^,]*)/.exec(told ?? '')?.[1] ?? told?.trim();
}

function huggingFaceRoot({ id }: RepoName, kind: RepoKind, { cache, cacheDir }: Roots): string {
  return join(cacheDir ?? cache, `${kind}s--${id.replace('/', '--')}`);
}

function huggingFaceSpot(repo: RepoName, kind: RepoKind, { revision, commit }: Listing, roots: Roots): Spot {
  if (commit === undefined) throw new RunError(`${repo.id}: the hub names no commit for ${revision}.`);
  const root = huggingFaceRoot(repo, kind, roots);
  const folder = join(root, 'snapshots', commit);
  const target = (file: RemoteFile): string => join(root, 'blobs', file.digest!.hex);
  const publish = async (files: readonly RemoteFile[]): Promise<void> => {
    for (const file of files) await link(target(file), join(folder, file.path));
    // Last, so that a revision never leads to a snapshot that lacks files.
    if (revision !== commit) await writeWhole(join(root, 'refs', revision), commit);
  };
  return { folder, root, target, publish };
}

/** A relative link; where the system allows none (Windows without its developer mode), a copy. */
async function link(blob: string, path: string): Promise<void> {
  const to = relative(dirname(path), blob);
  if ((await readlink(path).catch(() => undefined)) === to) return;
  await mkdir(dirname(path), { recursive: true });
  const fresh = `${path}.new`;
  await rm(fresh, { force: true });
  await symlink(to, fresh).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPERM' && error.code !== 'ENOTSUP') throw error;
    return copyFile(blob, fresh);
  });
  await rename(fresh, path);
}

/** Every folder where ModelScope's clients keep a repository; the first is the one to write. */
function modelScopeFolders(repo: RepoName, kind: RepoKind, { cache, cacheDir }: Roots): string[] {
  const [owner, name] = repo.id.split('/') as [string, string];
  const revision = repo.revision ?? 'master';
  const old = [join(owner, safeName(name)), join(owner, name)];
  const newer = newerFolder(repo, kind);
  const roots = cacheDir === undefined ? [cache, dirname(cache)] : [cacheDir];
  const inKind = old.map((path) => join(`${kind}s`, path));
  const found = roots.flatMap((root) =>
    [...(cacheDir === undefined ? inKind : []), ...old, newer, ...inKind].map((path) => join(root, path)),
  );
  const first = revision === 'master' ? [] : [join(roots[0]!, newer)];
  return [...new Set([...first, ...found])];
}

function newerFolder({ id, revision = 'master' }: RepoName, kind: RepoKind): string {
  return join(`${kind}s`, id.replace('/', '--'), 'snapshots', revision);
}

function safeName(name: string): string {
  return name.replaceAll('.', '___');
}

/** ModelScope's older layout. */
function olderSpot(folder: string, repo: RepoName, revision: string): Spot {
  const name = repo.id.split('/')[1]!;
  const publish = async (files: readonly RemoteFile[]): Promise<void> => {
    if ((await olderRevision(folder)) !== revision) await rm(join(folder, '.mv'), { force: true });
    // The older client takes a file for present when this index names it with the commit that the hub lists.
    const known = files.flatMap((file) =>
      file.revision === undefined ? [] : [{ path: file.path, revision: file.revision }],
    );
    if (known.length === files.length) await writeWhole(join(folder, '.msc'), pickleIndex(known));
    const plain = join(dirname(folder), name);
    if (folder === plain || !folder.endsWith(safeName(name))) return;
    // As the older client does: the name with its dots leads to the folder. Where links are not allowed, it is missing.
    if (!(await lstat(plain).catch(() => undefined))) await symlink(safeName(name), plain, 'dir').catch(() => {});
  };
  return { folder, root: folder, target: ({ path }) => join(folder, path), publish };
}

/** Python's pickle (protocol 2) of `[{'Path': …, 'Revision': …}, …]`. */
function pickleIndex(entries: readonly { readonly path: string; readonly revision: string }[]): Buffer {
  const text = (value: string): Buffer => {
    const bytes = Buffer.from(value);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.length);
    return Buffer.concat([Buffer.from('X'), length, bytes]);
  };
  const items = entries.flatMap(({ path, revision }) => [
    Buffer.from('}('),
    ...['Path', path, 'Revision', revision].map(text),
    Buffer.from('u'),
  ]);
  return Buffer.concat([Buffer.from([0x80, 2]), Buffer.from(']('), ...items, Buffer.from('e.')]);
}

async function writeWhole(file: string, content: string | Buffer): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(`${file}.new`, content);
  await rename(`${file}.new`, file);
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
}
