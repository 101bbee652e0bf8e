// ModelScope's API: a model's files in one answer, a data set's page by page under its number.
import { z } from 'zod';
import { RunError } from '../shared/errors.ts';
import { readAnswer } from './answer.ts';
import { type Client, HttpError, Passing, waitOf } from './http.ts';
import type { Lister, RemoteFile } from './repo.ts';

const PAGE = 100;

const file = z.object({
  Path: z.string(),
  Type: z.string(),
  Size: z.number().int().min(0).nullish(),
  Sha256: z.string().nullish(),
  Revision: z.string().nullish(),
});
const filesAnswer = z.object({ Data: z.object({ Files: z.array(file).nullable() }) });
const datasetAnswer = z.object({ Data: z.object({ Id: z.union([z.number(), z.string().regex(/^\d+$/)]) }) });
const status = z.object({ Code: z.number(), Message: z.string().nullish() });

export const modelScopeListing: Lister = async (client, base, { id, revision = 'master' }, kind) => {
  const at = `${base}/api/v1/${kind}s/${id}`;
  const query = (values: Record<string, string>): string =>
    String(new URLSearchParams({ Revision: revision, ...values }));
  if (kind === 'model') {
    const answer = await ask(client, filesAnswer, `${at}/repo/files?${query({ Recursive: 'True' })}`);
    const url = (path: string): string => `${at}/repo?${query({ FilePath: path })}`;
    return { revision, files: remoteFiles(answer.Data.Files ?? [], url) };
  }
  const { Data } = await ask(client, datasetAnswer, at);
  const files: z.output<typeof file>[] = [];
  for (let number = 1; ; number++) {
    const asked = query({ Root: '/', Recursive: 'True', PageNumber: String(number), PageSize: String(PAGE) });
    const address = `${base}/api/v1/datasets/${Data.Id}/repo/tree?${asked}`;
    const page = (await ask(client, filesAnswer, address)).Data.Files ?? [];
    if (page.length > 0 && page[0]!.Path === files[0]?.Path)
      throw new RunError(`${address}: the hub repeats the first page; its list of files cannot be read to the end.`);
    files.push(...page);
    if (page.length < PAGE) break;
  }
  const url = (path: string): string => `${at}/repo?Source=SDK&${query({ FilePath: path, View: 'False' })}`;
  return { revision, files: remoteFiles(files, url) };
};

/** ModelScope also tells failures in the body of a 200: those become what the status should have been. */
async function ask<T extends z.ZodType>(client: Client, schema: T, url: string): Promise<z.output<T>> {
  const { text } = await client.text(url, (body, headers) => {
    const { Code: code } = readAnswer(status, body, url);
    if (code === 200) return;
    if (code === 429 || (code >= 500 && code < 600)) throw new Passing(`${url} answered ${code}`, waitOf(headers));
    // Codes of more digits say what is missing by their text alone.
    const missing = code >= 1000 && /not (exist|found)|不存在/i.test(body);
    throw new HttpError(missing ? 404 : code, new URL(url), headers, body.slice(0, 4096));
  });
  return readAnswer(schema, text, url);
}

function remoteFiles(files: readonly z.output<typeof file>[], url: (path: string) => string): RemoteFile[] {
  return files
    .filter((entry) => entry.Type === 'blob')
    .map(({ Path: path, Size: size, Sha256: sha256, Revision: revision }) => {
      const hex = sha256?.toLowerCase() ?? '';
      const digest = /^[0-9a-f]{64}$/.test(hex) ? ({ kind: 'sha256', hex } as const) : undefined;
      // A size of 0 is often wrong; only the sum of nothing proves it.
      const known = size || (hex === EMPTY_SHA256 ? 0 : undefined);
      return { path, size: known, digest, url: url(path), revision: revision ?? undefined };
    });
}

const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
