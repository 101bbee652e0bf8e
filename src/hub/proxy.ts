// The proxy of an address, from HTTPS_PROXY, HTTP_PROXY and NO_PROXY (lower case wins, as in curl).
// undici's own EnvHttpProxyAgent warns that it is experimental and takes NO_PROXY=example.com for no subdomain.
import { Agent, type Dispatcher, ProxyAgent } from 'undici';
import { InputError } from '../shared/errors.ts';
import type { Environment } from './settings.ts';

const dispatchers = new Map<string, Dispatcher>();

/** The connections to use for an address; one pool for each proxy and one without. */
export function dispatcherFor(url: URL, env: Environment): Dispatcher {
  const proxy = proxyFor(url, env) ?? '';
  let dispatcher = dispatchers.get(proxy);
  if (dispatcher === undefined) {
    // Without a tunnel for http:, which many proxies allow to port 443 only.
    dispatcher = proxy === '' ? new Agent() : new ProxyAgent({ uri: proxy, proxyTunnel: false });
    dispatchers.set(proxy, dispatcher);
  }
  return dispatcher;
}

export function proxyFor(url: URL, env: Environment): string | undefined {
  const read = (name: string): string => env[name.toLowerCase()] ?? env[name] ?? '';
  const variable = url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY';
  const proxy = read(variable).trim();
  if (proxy === '' || isExempt(url, read('NO_PROXY'))) return undefined;
  const address = proxy.includes('://') ? proxy : `http://${proxy}`;
  if (!URL.canParse(address) || !/^https?:/.test(address))
    throw new InputError(
      `${variable}=${proxy.replace(/\/\/.*@/, '//…@')}: expected an http or https proxy, such as http://proxy.example:3128.`,
    );
  return address;
}

function isExempt(url: URL, list: string): boolean {
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  return list
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .some((entry) => {
      if (entry === '*') return true;
      const [, host = '', only] = /^(.*?)(?::(\d+))?$/.exec(entry.toLowerCase()) ?? [];
      const name = host.replace(/^\*?\./, '');
      return (only === undefined || only === port) && (url.hostname === name || url.hostname.endsWith(`.${name}`));
    });
}
