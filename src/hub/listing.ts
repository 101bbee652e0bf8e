// Lists a repository's files at either hub, and turns what a hub answers into what a user can do about it.
import { InputError, RunError } from '../shared/errors.ts';
import { Client, type ClientOptions, HttpError } from './http.ts';
import { huggingFaceListing } from './huggingface.ts';
import { modelScopeListing } from './modelscope.ts';
import { checkPaths, formatRepoName, type RepoName } from './names.ts';
import type { Listing, RepoKind } from './repo.ts';
import type { HubSettings } from './settings.ts';

export type ListOptions = Pick<ClientOptions, 'env' | 'backoffMs' | 'silenceMs' | 'signal' | 'say'>;

/** Lists a repository's files, or says why it cannot and what to do. */
export async function listRepo(
  repo: RepoName,
  kind: RepoKind,
  settings: HubSettings,
  options: ListOptions,
): Promise<Listing> {
  const lister = repo.hub === 'hf' ? huggingFaceListing : modelScopeListing;
  const from = async (endpoint: string, token: string | undefined): Promise<Listing> => {
    const client = new Client({ ...options, endpoint, credentials: credentialsOf(repo, token) });
    const listing = await lister(client, endpoint, repo, kind);
    checkPaths(
      formatRepoName(repo),
      listing.files.map((file) => file.path),
    );
    return { ...listing, client };
  };
  try {
    return await from(settings.endpoint, settings.token);
  } catch (error) {
    const { fallback } = settings;
    if (fallback !== undefined && error instanceof HttpError && error.status === 404) {
      try {
        return await from(fallback, undefined);
      } catch {
        // The first answer is the one to tell.
      }
    }
    throw tellFault(error, repo, settings.token !== undefined);
  }
}

function credentialsOf({ hub }: RepoName, token: string | undefined): Record<string, string> {
  if (token === undefined) return {};
  const bearer = { authorization: `Bearer ${token}` };
  return hub === 'hf' ? bearer : { ...bearer, cookie: `m_session_id=${token}` };
}

/** An HttpError as a sentence that says what to do; any other error as it is. */
export function tellFault(error: unknown, repo: RepoName, hasToken: boolean, path?: string): unknown {
  if (!(error instanceof HttpError)) return error;
  const name = formatRepoName(repo);
  const what = path === undefined ? name : `${path} of ${name}`;
  const variable = repo.hub === 'hf' ? 'HF_TOKEN' : 'MODELSCOPE_API_TOKEN';
  const code = error.headers['x-error-code'];
  const host = error.url.host;
  const login = hasToken
    ? `check that the token in ${variable} or --token is valid and may read it`
    : `if it is private, set ${variable} or give --token`;
  if (code === 'RevisionNotFound')
    return new InputError(`${name}: ${host} has no such branch, tag or commit; check what stands after @.`);
  if (code === 'EntryNotFound')
    return new InputError(`${what}: ${host} no longer has this file; fetch again, the repository may have changed.`);
  if (code === 'GatedRepo') {
    const page = `${error.url.origin}/${repo.id}`;
    return new InputError(`${what}: its owner grants access on request: ask for it on ${page}, then ${login}.`);
  }
  if (error.status === 404)
    return new InputError(
      `${what}: ${host} has no such repository, revision or file; check the spelling, and ${login}.`,
    );
  if (error.status === 401)
    return new InputError(`${what}: ${host} wants a login or has no such repository; ${login}.`);
  if (error.status === 403) return new InputError(`${what}: ${host} refuses access; ${login}.`);
  const told = /"(?:message|error)"\s*:\s*"([^"]{1,200})/i.exec(error.body)?.[1];
  return new RunError(`${what}: ${error.message}${told === undefined ? '' : ` (${told})`}; try again later.`);
}
