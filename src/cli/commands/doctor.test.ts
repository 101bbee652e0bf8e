// The doctor's findings on this machine and on made-up ones.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { baseModelCheck, cudaCheck, examine, memoryCheck, nodeCheck } from './doctor.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'texlens-doctor-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('doctor', () => {
  it('finds what the tests themselves need, and explains every no', async () => {
    const checks = await examine();
    for (const check of checks) {
      if (check.required) expect(check, JSON.stringify(check)).toMatchObject({ ok: true });
      if (!check.ok) {
        expect(check.reason).toBeTruthy();
        expect(check.next).toBeTruthy();
      }
    }
    expect(checks.find((check) => check.name === 'ONNX Runtime')?.found).toMatch(/^\d+\.\d+.*cpu/);
  });

  it.each([
    ['18.20.0', false],
    ['20.8.1', false],
    ['20.9.0', true],
    ['24.1.0', true],
  ])('judges Node %s', (version, ok) => {
    expect(nodeCheck(version).ok).toBe(ok);
  });

  it('says no below 1 GiB of free memory', () => {
    expect(memoryCheck(2 ** 30 - 1, 2 ** 33).ok).toBe(false);
    expect(memoryCheck(2 ** 30, 2 ** 33).ok).toBe(true);
  });

  it('names what a base model lacks', async () => {
    writeFileSync(join(folder, 'config.json'), '{}');
    expect(await baseModelCheck(folder)).toMatchObject({
      ok: false,
      reason: 'the folder lacks tokenizer.json, *.safetensors',
    });
    writeFileSync(join(folder, 'tokenizer.json'), '{}');
    writeFileSync(join(folder, 'model.safetensors'), 'x');
    expect((await baseModelCheck(folder)).ok).toBe(true);
    expect((await baseModelCheck(join(folder, 'none'))).ok).toBe(false);
  });

  it('tells which library is missing for a card', async () => {
    expect(await cudaCheck([folder])).toMatchObject({ ok: false, reason: expect.stringContaining('libcuda.so.1') });
    writeFileSync(join(folder, 'libcuda.so.1'), '');
    expect(await cudaCheck([folder])).toMatchObject({ ok: false, reason: expect.stringContaining('libnvrtc') });
  });
});
