// The only way to the server: its typed client, and the shapes that follow from it.
import { hc, type InferResponseType } from 'hono/client';
import type { Api } from '../../src/server/app.ts';
import { unwrap } from './answer.ts';

const client = hc<Api>(new URL('api', document.baseURI).href, { init: { credentials: 'same-origin' } });

type Ok<T> = InferResponseType<T, 200>;
export type RunList = Ok<typeof client.runs.$get>;
export type RunSummary = RunList['runs'][number];
export type RunDetail = Ok<(typeof client.runs)[':id']['$get']>;
export type Evaluation = Ok<(typeof client.runs)[':id']['evaluations'][':step']['$get']>;
export type EvaluationRow = Evaluation['rows'][number];
export type Band = Ok<(typeof client.runs)[':id']['series']['$get']>;
export type ConsoleSlice = Ok<(typeof client.runs)[':id']['console']['$get']>;
export type Status = RunSummary['status'];

const param = (id: string) => ({ id: encodeURIComponent(id) });

export const api = {
  runs: (signal: AbortSignal) => unwrap<RunList>(client.runs.$get({}, { init: { signal } })),
  run: (id: string, signal: AbortSignal) =>
    unwrap<RunDetail>(client.runs[':id'].$get({ param: param(id) }, { init: { signal } })),
  evaluation: (id: string, step: number, signal: AbortSignal) =>
    unwrap<Evaluation>(
      client.runs[':id'].evaluations[':step'].$get(
        { param: { ...param(id), step: String(step) } },
        { init: { signal } },
      ),
    ),
  series: (
    id: string,
    query: Parameters<(typeof client.runs)[':id']['series']['$get']>[0]['query'],
    signal: AbortSignal,
  ) => unwrap<Band>(client.runs[':id'].series.$get({ param: param(id), query }, { init: { signal } })),
  console: (id: string, query: { tail?: string; from?: string }, signal: AbortSignal) =>
    unwrap<ConsoleSlice>(client.runs[':id'].console.$get({ param: param(id), query }, { init: { signal } })),
  edit: (id: string, edits: { tags?: string[]; notes?: string }) =>
    unwrap(client.runs[':id'].$patch({ param: param(id), json: edits })),
  // The server wants every change to be JSON, so that no form of another site can send one.
  remove: (id: string) =>
    unwrap(client.runs[':id'].$delete({ param: param(id) }, { headers: { 'content-type': 'application/json' } })),
};

export const mediaUrl = (id: string, name: string): string =>
  `api/runs/${encodeURIComponent(id)}/media/${encodeURIComponent(name)}`;

export const liveUrl = (ids: readonly string[]): string =>
  `api/live?${new URLSearchParams(ids.map((id) => ['runs', id]))}`;
