// GET /v1/models and /v1/models/NAME: the one model that is served.
import { Hono } from 'hono';
import { RequestFault } from '../fault.ts';
import type { ReadingSettings } from '../settings.ts';

export const models = ({ name }: ReadingSettings) => {
  const model = { id: name, object: 'model', created: Math.floor(Date.now() / 1000), owned_by: 'texlens' };
  return new Hono()
    .get('/v1/models', (context) => context.json({ object: 'list', data: [model] }))
    .get('/v1/models/:id{.+}', (context) => {
      const id = context.req.param('id');
      if (id !== name) throw new RequestFault(404, `no model ${id} is here; ${name} is`, { code: 'model_not_found' });
      return context.json(model);
    });
};
