// Hugging Face's API: the commit of a revision, then the tree of files page by page.
import { z } from 'zod';
import { RunError } from '../shared/errors.ts';
import { readAnswer } from './answer.ts';
import type { Client } from './http.ts';
import { encodePath } from './names.ts';
import type { Digest, Lister, RemoteFile } from './repo.ts';

const HEX = /^[0-9a-f]+$/;

const revisionAnswer = z.object({ sha: z.string().regex(/^[0-9a-f]{40}$/) });

const treeAnswer = z.array(
  z.object({
    type: z.string(),
    path: z.string(),
    size: z.number().int().min(0).default(0),
    oid: z.string().regex(HEX).length(40),
    lfs: z.object({ oid: z.string().regex(HEX).length(64), size: z.number().int().min(0) }).nullish(),
  }),
);

export const huggingFaceListing: Lister = async (client, base, repo, kind) => {
  const revision = repo.revision ?? 'main';
  const api = `${base}/api/${kind}s/${repo.id}`;
  const about = `${api}/revision/${encodeURIComponent(revision)}`;
  const { sha } = readAnswer(revisionAnswer, (await client.text(about)).text, about);
  const at = `${base}/${kind === 'dataset' ? 'datasets/' : ''}${repo.id}/resolve/${sha}`;
  const files: RemoteFile[] = [];
  for await (const entry of tree(client, base, `${api}/tree/${sha}?recursive=true&expand=false`)) {
    if (entry.type !== 'file') continue;
    const digest: Digest = entry.lfs ? { kind: 'sha256', hex: entry.lfs.oid } : { kind: 'git', hex: entry.oid };
    files.push({
      path: entry.path,
      size: entry.lfs?.size ?? entry.size,
      digest,
      url: `${at}/${encodePath(entry.path)}`,
    });
  }
  return { revision, commit: sha, files };
};

async function* tree(client: Client, base: string, first: string): AsyncGenerator<z.output<typeof treeAnswer>[number]> {
  const seen = new Set<string>();
  for (let url: string | undefined = first; url !== undefined; ) {
    if (seen.has(url)) throw new RunError(`${url}: the hub's list of files leads back to itself; try again later.`);
    seen.add(url);
    const { text, headers } = await client.text(url);
    yield* readAnswer(treeAnswer, text, url);
    const next: string | undefined = /<([^>]+)>\s*;\s*rel="?next"?/.exec(headers.link ?? '')?.[1];
    // A mirror may pass on the hub's own address, where the token must not go: only what follows the host is kept.
    url = next && base + next.slice(Math.max(0, next.indexOf('/api/')));
  }
}
