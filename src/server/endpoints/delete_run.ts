// DELETE /api/runs/:id: removes a run's records for good; its adapters and checkpoints stay.
import { Hono } from 'hono';
import { deleteRecords } from '../../tracker/manage.ts';
import { refuse } from '../guard.ts';
import type { Library } from '../library.ts';

export const deleteRun = (library: Library) =>
  new Hono().delete('/runs/:id', async (context) => {
    const entry = await library.find(context.req.param('id'));
    if (!entry) return refuse(context, 404, 'there is no such run');
    if (entry.meta.status === 'running')
      return refuse(context, 409, `${entry.meta.name} is still being written; end its process first`);
    await deleteRecords(entry.folder);
    library.close(entry.folder);
    await library.touch();
    return context.json({ ok: true });
  });
