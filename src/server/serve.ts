// Starts the dashboard's server on a port and says where it is.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { InputError } from '../shared/errors.ts';
import { createApp } from './app.ts';
import { checkAccess } from './guard.ts';

export interface ServeOptions {
  readonly root: string;
  readonly host: string;
  /** 0: any free one; undefined: the default one, or the next free one after it */
  readonly port?: number;
  readonly token?: string;
  readonly intervalMs?: number;
}

export interface Served {
  /** with the token, when there is one */
  readonly url: string;
  close(): Promise<void>;
}

const DEFAULT_PORT = 6360;
const TRIES = 20;

export async function serve({ root, host, port, token, intervalMs }: ServeOptions): Promise<Served> {
  const access = { host, token };
  checkAccess(access);
  const listener = getRequestListener(createApp({ root, access, intervalMs }).fetch);
  const server = createServer((request, response) => void listener(request, response));
  const listen = (at: number): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(at, host, () => {
        server.off('error', reject);
        resolve();
      });
    });
  for (let at = port ?? DEFAULT_PORT; ; at++) {
    try {
      await listen(at);
      break;
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'EADDRINUSE' && port === undefined && at < DEFAULT_PORT + TRIES) continue;
      if (code === 'EADDRINUSE') throw new InputError(`--port ${at}: another program listens there; choose another.`);
      if (code === 'EACCES') throw new InputError(`--port ${at}: needs more rights; choose one above 1023.`);
      if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
        throw new InputError(`--host ${host}: is no address of this machine.`);
      throw error;
    }
  }
  const address = server.address() as AddressInfo;
  const name = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      // Pages hold their event streams open for ever.
      server.closeAllConnections();
    });
  return { url: `http://${name}:${address.port}/${token === undefined ? '' : `?token=${token}`}`, close };
}
