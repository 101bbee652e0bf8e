// Endpoints, tokens and caches from the environment, as the hubs' own clients read them.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { hubSettings } from './settings.ts';

const home = homedir();

describe('hubSettings', () => {
  it('has the public hubs as defaults', () => {
    const hf = hubSettings('hf', {}, { HF_HOME: '/none' });
    expect(hf).toEqual({ endpoint: 'https://huggingface.co', cache: '/none/hub', token: undefined, offline: false });
    expect(hubSettings('hf', {}, {}).cache).toBe(join(home, '.cache/huggingface/hub'));
    expect(hubSettings('modelscope', {}, {})).toEqual({
      endpoint: 'https://www.modelscope.cn',
      fallback: 'https://www.modelscope.ai',
      cache: join(home, '.cache/modelscope/hub'),
      token: undefined,
      offline: false,
    });
  });

  it.each([
    ['hf', { HF_ENDPOINT: 'https://hf-mirror.com/' }, { endpoint: 'https://hf-mirror.com' }],
    ['hf', { HF_HOME: '/h', HF_HUB_CACHE: '~/c' }, { cache: join(home, 'c') }],
    ['hf', { HF_HOME: '', XDG_CACHE_HOME: '/x' }, { cache: '/x/huggingface/hub' }],
    ['hf', { HF_TOKEN: ' t\n' }, { token: 't' }],
    ['hf', { HF_HUB_OFFLINE: 'yes' }, { offline: true }],
    ['hf', { HF_HUB_OFFLINE: '0' }, { offline: false }],
    [
      'modelscope',
      { MODELSCOPE_DOMAIN: 'www.modelscope.ai' },
      { endpoint: 'https://www.modelscope.ai', fallback: undefined },
    ],
    ['modelscope', { MODELSCOPE_ENDPOINT: 'http://l:1', MODELSCOPE_DOMAIN: 'x' }, { endpoint: 'http://l:1' }],
    ['modelscope', { MODELSCOPE_CACHE: '/m', MODELSCOPE_API_TOKEN: 'u' }, { cache: '/m', token: 'u' }],
  ] as const)('%s with %j', (hub, env, expected) => {
    expect(hubSettings(hub, {}, { HF_HOME: '/none', ...env })).toMatchObject(expected);
  });

  it('takes the token of the flag before the environment, and that before the file', () => {
    const folder = mkdtempSync(join(tmpdir(), 'texlens-'));
    try {
      mkdirSync(join(folder, 'hf'));
      writeFileSync(join(folder, 'hf/token'), 'file\n');
      const env = { HF_HOME: join(folder, 'hf') };
      expect(hubSettings('hf', {}, env).token).toBe('file');
      expect(hubSettings('hf', {}, { ...env, HF_TOKEN: 'env' }).token).toBe('env');
      expect(hubSettings('hf', { token: 'flag' }, { ...env, HF_TOKEN: 'env' }).token).toBe('flag');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it.each([
    [{ HF_ENDPOINT: 'hf-mirror.com' }, /HF_ENDPOINT=hf-mirror.com: expected an address/],
    [{ HF_ENDPOINT: 'ftp://x' }, /expected an address/],
    [{ HF_TOKEN: 'a b' }, /holds blanks/],
  ])('refuses %j', (env, message) => {
    expect(() => hubSettings('hf', {}, env)).toThrow(message);
  });
});
