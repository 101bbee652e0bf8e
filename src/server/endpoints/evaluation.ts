// GET /api/runs/:id/evaluations/:step: what the model read at that step, beside the truth.
import { Hono } from 'hono';
import { normalizeFormula } from '../../eval/normalize.ts';
import { refuse } from '../guard.ts';
import type { Library } from '../library.ts';
import { finite } from './runs.ts';

export const evaluation = (library: Library) =>
  new Hono().get('/runs/:id/evaluations/:step', async (context) => {
    const open = await library.open(context.req.param('id'));
    const step = Number(context.req.param('step'));
    const found = open?.reader.evaluations().findLast((item) => item.step === step);
    if (!found) return refuse(context, 404, 'there is no such evaluation');
    return context.json({
      step,
      time: found.time,
      metrics: finite(found.metrics),
      rows: found.rows.map((row) => ({
        ...row,
        metrics: finite(row.metrics),
        right: normalizeFormula(row.prediction) === normalizeFormula(row.truth),
      })),
    });
  });
