// DELETE /api/runs/:id: removes a run's records for good; its adapters and checkpoints stay.
import { Hono } from 'hono';
import { deleteRun as remove } from '../../tracker/manage.ts';
import { refuse } from '../guard.ts';
import type { Library } from '../library.ts';

export const deleteRun = (library: Library) =>
  new Hono().delete('/runs/:id', async (context) => {
    const entry = await library.find(context.req.param('id'));
    if (!entry) return refuse(context, 404, 'there is no such run');
    await remove(entry.folder, entry.meta.status);
    library.close(entry.folder);
    await library.touch();
    return context.json({ ok: true });
  });
