// Listens for HTTP on a port, and says where.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import type { Hono } from 'hono';
import { InputError } from '../shared/errors.ts';
import type { Access } from './guard.ts';

export interface ListenOptions extends Access {
  /** 0: any free one; undefined: the usual one, or the next free one after it */
  readonly port?: number;
  readonly usualPort: number;
}

export interface Listening {
  readonly server: Server;
  /** with the token, when there is one */
  readonly url: string;
}

const TRIES = 20;

export async function listen(fetch: Hono['fetch'], options: ListenOptions): Promise<Listening> {
  const { host, port, usualPort, token } = options;
  const listener = getRequestListener(fetch);
  const server = createServer((request, response) => void listener(request, response));
  const bind = (at: number): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(at, host, () => {
        server.off('error', reject);
        resolve();
      });
    });
  for (let at = port ?? usualPort; ; at++) {
    try {
      await bind(at);
      break;
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'EADDRINUSE' && port === undefined && at < usualPort + TRIES) continue;
      if (code === 'EADDRINUSE') throw new InputError(`--port ${at}: another program listens there; choose another.`);
      if (code === 'EACCES') throw new InputError(`--port ${at}: needs more rights; choose one above 1023.`);
      if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
        throw new InputError(`--host ${host}: is no address of this machine.`);
      throw error;
    }
  }
  const address = server.address() as AddressInfo;
  const name = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return { server, url: `http://${name}:${address.port}/${token === undefined ? '' : `?token=${token}`}` };
}
