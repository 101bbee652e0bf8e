// GET /api/runs/:id: one run in full, but for its points, predictions and log.
import { Hono } from 'hono';
import { refuse } from '../guard.ts';
import type { Library } from '../library.ts';
import { finite, summaryOf } from './runs.ts';

export const run = (library: Library) =>
  new Hono().get('/runs/:id', async (context) => {
    const id = context.req.param('id');
    const [entry, open] = [await library.find(id), await library.open(id)];
    if (!entry || !open) return refuse(context, 404, 'there is no such run');
    const { reader } = open;
    const { meta } = reader;
    return context.json({
      ...summaryOf(id, { path: entry.path, meta }),
      config: meta.config,
      summary: meta.summary,
      git: meta.git,
      environment: meta.environment,
      hardware: meta.hardware,
      keys: reader.keys(),
      systemKeys: reader.systemKeys(),
      checkpoints: reader.checkpoints(),
      evaluations: reader
        .evaluations()
        .map(({ step, time, metrics, rows }) => ({ step, time, count: rows.length, metrics: finite(metrics) })),
      texts: reader.texts(),
      images: reader.images(),
      damagedLines: { ...reader.damaged },
    });
  });
