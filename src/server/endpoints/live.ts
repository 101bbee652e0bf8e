// GET /api/live?runs=ID&runs=ID: server-sent events that say what is new: the version of the list and of each run
// named. The page then asks for what it shows; nothing else has to be kept in step.
import { Hono } from 'hono';
import { streamSSE } from 'hono/streaming';
import { messageOf } from '../../shared/errors.ts';
import type { Library } from '../library.ts';

/** Without a word for this long a proxy may hang up. */
const SILENCE_MS = 15_000;

export const live = (library: Library, intervalMs: number) =>
  new Hono().get('/live', (context) => {
    const ids = (context.req.queries('runs') ?? []).slice(0, 16);
    return streamSSE(context, async (stream) => {
      let sent = '';
      let spokeAt = 0;
      while (!stream.aborted && !stream.closed) {
        const versions: Record<string, number> = {};
        const { version } = await library.list();
        for (const id of ids) {
          const open = await library.open(id).catch((error: unknown) => {
            console.error(`run ${id}: ${messageOf(error)}`);
            return undefined;
          });
          versions[id] = open?.version ?? 0;
        }
        const data = JSON.stringify({ list: version, runs: versions });
        if (data !== sent || Date.now() - spokeAt > SILENCE_MS) {
          await stream.writeSSE({ event: 'versions', data });
          sent = data;
          spokeAt = Date.now();
        }
        await stream.sleep(intervalMs);
      }
    });
  });
