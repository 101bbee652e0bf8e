// Loads a model, starts the reading server on a port, and says where it is.
import type { ReaderOptions } from '../../train/reader.ts';
import { checkAccess } from '../guard.ts';
import { listen } from '../listen.ts';
import { createReadingApp } from './app.ts';
import { openEngineThread } from './engine_thread.ts';
import { faultOf } from './fault.ts';
import { type QueueLimits, ReadingQueue } from './queue.ts';
import type { ReadingSettings } from './settings.ts';

export interface ServeModelOptions extends QueueLimits {
  readonly reader: ReaderOptions;
  readonly settings: ReadingSettings;
  readonly host: string;
  /** 0: any free one; undefined: 6370, or the next free one after it */
  readonly port?: number;
  readonly token?: string;
}

export interface ServedModel {
  /** with the token, when there is one */
  readonly url: string;
  readonly queue: ReadingQueue;
  /** Answers what was asked, and ends. */
  close(): Promise<void>;
}

/** What a client may take to receive its last answer. */
const LATEST_MS = 2000;

export async function serveModel(options: ServeModelOptions): Promise<ServedModel> {
  const { reader, settings, host, port, token, batch, most } = options;
  const access = { host, token };
  checkAccess(access);
  // The port is taken first: that another program has it shall not be told when a large model has been loaded.
  let app: ReturnType<typeof createReadingApp> | null = null;
  const { server, url } = await listen((...request) => (app ? app.fetch(...request) : loading()), {
    ...{ ...access, port },
    usualPort: 6370,
  });
  try {
    const engine = await openEngineThread(reader);
    const queue = new ReadingQueue(engine, { batch, most });
    app = createReadingApp({ queue, settings, access });
    const close = async (): Promise<void> => {
      const ended = new Promise<void>((resolve) => server.close(() => resolve()));
      await queue.close();
      // Answers are on their way: who has his lets go of the connection, or is let go.
      const idle = setInterval(() => server.closeIdleConnections(), 20);
      const late = setTimeout(() => server.closeAllConnections(), LATEST_MS);
      await ended;
      clearInterval(idle);
      clearTimeout(late);
      await engine.close();
    };
    return { url, queue, close };
  } catch (error) {
    server.close();
    server.closeAllConnections();
    throw error;
  }
}

const loading = (): Response => {
  const error = faultOf('the model is loading; ask again soon', 503, null, 'loading');
  return Response.json({ error }, { status: 503, headers: { 'retry-after': '1' } });
};
