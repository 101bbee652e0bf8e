// GET /api/health: what is served, how busy it is, and how long answers take.
import { Hono } from 'hono';
import type { ReadingQueue } from '../queue.ts';
import type { ReadingSettings } from '../settings.ts';

export const health = (queue: ReadingQueue, { name, model, adapter, maxNewTokens }: ReadingSettings) => {
  const started = Date.now();
  return new Hono().get('/api/health', (context) => {
    const { alive, device } = queue.engine;
    const { latencies, limits, counts, length } = queue;
    const milliseconds = (share: number): number | null => {
      const time = latencies.percentile(share);
      return time === null ? null : Math.round(time);
    };
    return context.json(
      {
        status: alive ? ('ready' as const) : ('failed' as const),
        ...{ name, model, adapter: adapter ?? null, device },
        queue: { ...length, most: limits.most },
        batch: limits.batch,
        max_new_tokens: maxNewTokens,
        counts,
        latency_ms: { p50: milliseconds(0.5), p95: milliseconds(0.95) },
        uptime_s: Math.round((Date.now() - started) / 1000),
      },
      alive ? 200 : 503,
    );
  });
};
