// Starts the dashboard's server on a port and says where it is.
import { createApp } from './app.ts';
import { checkAccess } from './guard.ts';
import { listen } from './listen.ts';

export interface ServeOptions {
  readonly root: string;
  readonly host: string;
  /** 0: any free one; undefined: 6360, or the next free one after it */
  readonly port?: number;
  readonly token?: string;
  readonly intervalMs?: number;
}

export interface Served {
  /** with the token, when there is one */
  readonly url: string;
  close(): Promise<void>;
}

export async function serve({ root, host, port, token, intervalMs }: ServeOptions): Promise<Served> {
  const access = { host, token };
  checkAccess(access);
  const app = createApp({ root, access, intervalMs });
  const { server, url } = await listen(app.fetch, { ...access, port, usualPort: 6360 });
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      // Pages hold their event streams open for ever.
      server.closeAllConnections();
    });
  return { url, close };
}
