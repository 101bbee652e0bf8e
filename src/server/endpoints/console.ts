// GET /api/runs/:id/console: what a run printed: the last lines, or those from a byte of the log on.
import { Hono } from 'hono';
import { validator } from 'hono/validator';
import { z } from 'zod';
import { refuse } from '../guard.ts';
import type { Library } from '../library.ts';

const Query = z.object({
  tail: z.coerce.number().int().min(1).max(50_000).optional(),
  from: z.coerce.number().int().min(0).optional(),
});

export const consoleLines = (library: Library) =>
  new Hono().get(
    '/runs/:id/console',
    validator('query', (value, context) => {
      const parsed = Query.safeParse(value);
      if (!parsed.success) return refuse(context, 400, z.prettifyError(parsed.error));
      return value as { tail?: string; from?: string };
    }),
    async (context) => {
      const { tail, from } = Query.parse(context.req.valid('query'));
      const open = await library.open(context.req.param('id'));
      if (!open) return refuse(context, 404, 'there is no such run');
      return context.json(await open.reader.console({ tail, fromByte: from }));
    },
  );
