// What a hub says of a repository: its files, and how each is fetched and checked.
import type { Client } from './http.ts';
import type { RepoName } from './names.ts';

export type RepoKind = 'model' | 'dataset';

export interface Digest {
  /** `git` is the sha1 of git's blob: over "blob <size>\0" and the content. */
  readonly kind: 'sha256' | 'git';
  readonly hex: string;
}

export interface RemoteFile {
  /** Inside the repository, with slashes; checked to be safe to write. */
  readonly path: string;
  /** Undefined where the hub does not say, or says 0 without knowing. */
  readonly size?: number;
  readonly digest?: Digest;
  readonly url: string;
  /** The commit that last changed the file (ModelScope). */
  readonly revision?: string;
}

export interface Listing {
  /** What was asked for, the hub's default branch filled in. */
  readonly revision: string;
  /** The commit that the revision stands for, where the hub says. */
  readonly commit?: string;
  readonly files: readonly RemoteFile[];
  readonly client: Client;
}

export type Lister = (client: Client, base: string, repo: RepoName, kind: RepoKind) => Promise<Omit<Listing, 'client'>>;
