// GET /v1/models: the one model that is served.
import { Hono } from 'hono';
import type { ReadingSettings } from '../settings.ts';

export const models = ({ name }: ReadingSettings) => {
  const created = Math.floor(Date.now() / 1000);
  return new Hono().get('/v1/models', (context) =>
    context.json({ object: 'list', data: [{ id: name, object: 'model', created, owned_by: 'texlens' }] }),
  );
};
