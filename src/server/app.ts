// The dashboard's server: its checks, its endpoints and the page. `Api` is all that web/ knows of it.
import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { HTTPException } from 'hono/http-exception';
import { InputError, messageOf } from '../shared/errors.ts';
import { consoleLines } from './endpoints/console.ts';
import { deleteRun } from './endpoints/delete_run.ts';
import { editRun } from './endpoints/edit_run.ts';
import { evaluation } from './endpoints/evaluation.ts';
import { live } from './endpoints/live.ts';
import { media } from './endpoints/media.ts';
import { run } from './endpoints/run.ts';
import { runs } from './endpoints/runs.ts';
import { series } from './endpoints/series.ts';
import { type Access, changeCheck, headers, hostCheck, refuse, tokenCheck } from './guard.ts';
import { Library } from './library.ts';
import { staticFiles } from './static_files.ts';

export interface AppOptions {
  /** the folder of runs */
  readonly root: string;
  readonly access: Access;
  /** how often files are looked at while a page is open */
  readonly intervalMs?: number;
}

/** The longest tags and notes are a tenth of it. */
const BODY_BYTES = 2 ** 20;

const api = (library: Library, intervalMs: number) =>
  new Hono()
    .route('/', runs(library))
    .route('/', run(library))
    .route('/', editRun(library))
    .route('/', deleteRun(library))
    .route('/', series(library))
    .route('/', evaluation(library))
    .route('/', media(library))
    .route('/', consoleLines(library))
    .route('/', live(library, intervalMs));

/** The type of the endpoints under /api. */
export type Api = ReturnType<typeof api>;

export function createApp({ root, access, intervalMs = 1000 }: AppOptions): { fetch: Hono['fetch'] } {
  return new Hono()
    .use(headers, hostCheck(access), tokenCheck(access), changeCheck)
    .use(bodyLimit({ maxSize: BODY_BYTES, onError: (context) => refuse(context, 413, 'the body is too large') }))
    .route('/api', api(new Library(root, intervalMs), intervalMs))
    .use(staticFiles('index.html'))
    .notFound((context) => refuse(context, 404, `nothing is at ${context.req.path}`))
    .onError((error, context) => {
      if (error instanceof HTTPException) return context.json({ error: error.message }, error.status);
      return refuse(context, error instanceof InputError ? 400 : 500, messageOf(error));
    });
}
