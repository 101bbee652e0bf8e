// DELETE /api/runs/:id: removes a run's records for good; its adapters and checkpoints stay.
import { Hono } from 'hono';
import { deleteRecords } from '../../tracker/manage.ts';
import { readMeta } from '../../tracker/reader.ts';
import { refuse } from '../guard.ts';
import type { Library } from '../library.ts';

export const deleteRun = (library: Library) =>
  new Hono().delete('/runs/:id', async (context) => {
    const entry = await library.find(context.req.param('id'));
    // As it is now, for it may have been taken up again since it was listed.
    const meta = entry && (await readMeta(entry.folder));
    if (!meta) return refuse(context, 404, 'there is no such run');
    if (meta.status === 'running')
      return refuse(context, 409, `${meta.name} is still being written; end its process first`);
    await deleteRecords(entry.folder);
    library.close(entry.folder);
    await library.touch();
    return context.json({ ok: true });
  });
