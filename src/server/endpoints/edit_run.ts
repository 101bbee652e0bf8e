// PATCH /api/runs/:id: changes a run's tags and notes.
import { Hono } from 'hono';
import { validator } from 'hono/validator';
import { z } from 'zod';
import { Edits, editRun as edit } from '../../tracker/manage.ts';
import { refuse } from '../guard.ts';
import type { Library } from '../library.ts';

const Body = Edits.strict();

export const editRun = (library: Library) =>
  new Hono().patch(
    '/runs/:id',
    validator('json', (value, context) => {
      const parsed = Body.safeParse(value);
      return parsed.success ? parsed.data : refuse(context, 400, z.prettifyError(parsed.error));
    }),
    async (context) => {
      const entry = await library.find(context.req.param('id'));
      if (!entry) return refuse(context, 404, 'there is no such run');
      await edit(entry.folder, context.req.valid('json'));
      await library.touch();
      return context.json({ ok: true });
    },
  );
