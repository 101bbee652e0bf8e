// GET /api/runs/:id/series: one metric over a span, thinned for a chart.
import { Hono } from 'hono';
import { validator } from 'hono/validator';
import { z } from 'zod';
import { AXES, bandOf } from '../band.ts';
import { refuse } from '../guard.ts';
import type { Library } from '../library.ts';

const Query = z.object({
  key: z.string(),
  source: z.enum(['scalars', 'system']),
  axis: z.enum(AXES),
  from: z.coerce.number().optional(),
  to: z.coerce.number().optional(),
  points: z.coerce.number().int().min(2).max(4000),
});

/** What a client sends: query strings. */
interface Input {
  key: string;
  source: z.output<typeof Query>['source'];
  axis: z.output<typeof Query>['axis'];
  from?: string;
  to?: string;
  points: string;
}

export const series = (library: Library) =>
  new Hono().get(
    '/runs/:id/series',
    validator('query', (value, context) => {
      const parsed = Query.safeParse(value);
      if (!parsed.success) return refuse(context, 400, z.prettifyError(parsed.error));
      return value as unknown as Input;
    }),
    async (context) => {
      const { key, source, axis, from, to, points } = Query.parse(context.req.valid('query'));
      const open = await library.open(context.req.param('id'));
      if (!open) return refuse(context, 404, 'there is no such run');
      const { reader } = open;
      const options = { maxPoints: Number.POSITIVE_INFINITY };
      const slice = source === 'system' ? reader.system([key], options) : reader.series([key], options);
      const start = Date.parse(reader.meta.createdAt);
      const span = { axis, from: from ?? Number.NEGATIVE_INFINITY, to: to ?? Number.POSITIVE_INFINITY, points };
      // A key with no points gives an empty band.
      return context.json(bandOf(slice.series[0]!, start, span));
    },
  );
