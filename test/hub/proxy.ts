// A small forward proxy for tests: CONNECT tunnels and plain http requests, with or without a password.
import { once } from 'node:events';
import { createServer, type IncomingMessage, request as send } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';

export interface Proxy {
  readonly address: string;
  /** "CONNECT host:port" or "GET http://…", as they came. */
  readonly asked: string[];
  close(): Promise<void>;
}

export async function startProxy(password?: string): Promise<Proxy> {
  const asked: string[] = [];
  const expected = password && `Basic ${Buffer.from(password).toString('base64')}`;
  const allowed = (request: IncomingMessage): boolean =>
    expected === undefined || request.headers['proxy-authorization'] === expected;
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    if (!allowed(request)) return void response.writeHead(407).end();
    const { 'proxy-authorization': _, ...headers } = request.headers;
    const onward = send(request.url ?? '', { method: request.method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  });
  const sockets = new Set<Socket>();
  server.on('connect', (request, socket: Socket) => {
    asked.push(`CONNECT ${request.url}`);
    if (!allowed(request)) return void socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
    const { hostname, port } = new URL(`http://${request.url}`);
    const onward = connect(Number(port), hostname, () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      onward.pipe(socket).pipe(onward);
    });
    for (const one of [onward, socket]) sockets.add(one.on('error', () => one.destroy()));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    address: `http://${password === undefined ? '' : `${password}@`}127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async close() {
      for (const socket of sockets) socket.destroy();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
