// The reading server: its checks, its endpoints and the page. `ReadingApi` is all that web/ knows of it.
import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { formatBytes } from '../../shared/log.ts';
import { type Access, headers, hostCheck, originCheck, tokenCheck } from '../guard.ts';
import { staticFiles } from '../static_files.ts';
import { chatCompletions } from './endpoints/chat_completions.ts';
import { health } from './endpoints/health.ts';
import { models } from './endpoints/models.ts';
import { read } from './endpoints/read.ts';
import { answerFault, RequestFault } from './fault.ts';
import type { ReadingQueue } from './queue.ts';
import type { ReadingSettings } from './settings.ts';

export interface ReadingAppOptions {
  readonly queue: ReadingQueue;
  readonly settings: ReadingSettings;
  readonly access: Access;
  /** bytes of a request's body, at most */
  readonly bodyBytes?: number;
}

const api = (queue: ReadingQueue, settings: ReadingSettings) =>
  new Hono()
    .route('/', chatCompletions(queue, settings))
    .route('/', models(settings))
    .route('/', read(queue, settings))
    .route('/', health(queue, settings));

/** The type of the endpoints. */
export type ReadingApi = ReturnType<typeof api>;

export function createReadingApp({ queue, settings, access, bodyBytes = 32 * 2 ** 20 }: ReadingAppOptions): Hono {
  const tooLarge = (): never => {
    throw new RequestFault(413, `the body is larger than ${formatBytes(bodyBytes)}; send fewer or smaller images`, {
      code: 'body_too_large',
    });
  };
  return new Hono()
    .use(headers, hostCheck(access), tokenCheck(access), originCheck)
    .use(bodyLimit({ maxSize: bodyBytes, onError: tooLarge }))
    .route('/', api(queue, settings))
    .use(staticFiles('read.html'))
    .notFound((context) =>
      answerFault(new RequestFault(404, `nothing is at ${context.req.method} ${context.req.path}`), context),
    )
    .onError(answerFault);
}
