// Which programs a run gets on a card with so much room, and what a refusal says. Plans of a short 2B shape; nothing runs.
import { describe, expect, test } from 'vitest';
import { QWEN2_VL_2B } from '../../bench/cuda/model.ts';
import { createReferenceBackend } from '../backends/reference/index.ts';
import { loraParameters, loraSpec } from '../models/qwen2_vl/adapter.ts';
import type { Qwen2VLConfig } from '../models/qwen2_vl/config.ts';
import { parameters } from '../models/qwen2_vl/parameters.ts';
import { fitMemory, type MemorySettings, memoryNeed, readingProgram } from './memory.ts';
import { type TrainerOptions, tracePrograms } from './trainer.ts';

const GIB = 2 ** 30;
const CONFIG: Qwen2VLConfig = {
  ...QWEN2_VL_2B,
  text: { ...QWEN2_VL_2B.text, vocabSize: 1000, layers: 6 },
  vision: { ...QWEN2_VL_2B.vision, depth: 1 },
};
const lora = loraSpec(CONFIG, { r: 8, alpha: 16, rslora: false, dropout: 0.05, targetModules: ['q_proj'] });

const optionsFor = (tokens: number): TrainerOptions => ({
  ...{ bucket: { tokens, row: 256, patches: tokens, patchRow: 256, labels: 256 }, accumulate: 1, lora, dropout: 0.05 },
  ...{ trained: loraParameters(CONFIG, lora).map(({ name }) => name), seed: 1, precision: 'bf16', recompute: false },
  update: { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, maxGradNorm: 1 },
  keepFeatures: 100_000,
});
const WANTED = optionsFor(2048);

/** A backend whose card has its weights, and `free` bytes. */
function cardWith(free: number) {
  const backend = createReferenceBackend();
  for (const { name, shape } of parameters(CONFIG))
    if (name.startsWith('visual.'))
      backend.setState(name, { dtype: 'bf16', shape }, new Uint16Array(shape.reduce((a, b) => a * b, 1)));
  return Object.assign(backend, { memory: () => ({ free, total: 64 * GIB }) });
}
const card = cardWith(0);
const trace = (options: TrainerOptions) => tracePrograms(card, CONFIG, options);
const need = (options: TrainerOptions) => memoryNeed(card, trace(options), null);
const plain = need(WANTED);
const recomputed = need({ ...WANTED, recompute: true });
const present = parameters(CONFIG)
  .filter(({ name }) => name.startsWith('visual.'))
  .reduce((sum, { shape }) => sum + 2 * shape.reduce((a, b) => a * b, 1), 0);

const SETTINGS: MemorySettings = {
  ...{ recompute: 'auto', limit: undefined, fewerFeatures: false, reader: null },
  *smaller() {
    for (const tokens of [1024, 512]) yield { settings: `train.batch_tokens: ${tokens}`, options: optionsFor(tokens) };
  },
};
/** Fits a run to room for so many bytes of tensors, some of which lie there already. */
const fittedTo = (bytes: number, settings: Partial<MemorySettings> = {}) => {
  const memory = () => ({ free: bytes - present + 0.25 * GIB, total: 64 * GIB });
  return fitMemory(Object.assign(card, { memory }), WANTED, trace, { ...SETTINGS, ...settings });
};

describe('a run on a card', () => {
  test('is left as asked for where it fits', () => {
    expect(fittedTo(plain.total)).toMatchObject({ options: WANTED, need: plain });
  });

  test('recomputes where the plain step does not fit, and only then', () => {
    expect(recomputed.values).toBeLessThan(plain.values / 2);
    expect(fittedTo(plain.total - 1)).toMatchObject({ options: { ...WANTED, recompute: true }, need: recomputed });
    expect(fittedTo(plain.total, { recompute: true }).options.recompute).toBe(true);
  });

  test('keeps as many image features as there is room for, where their number was left open', () => {
    const fitted = fittedTo(recomputed.total - 50_000 * 1536 * 2, { fewerFeatures: true, recompute: true });
    expect(fitted.options.keepFeatures).toBe(50_000);
    expect(fitted.need.total).toBe(recomputed.total - 50_000 * 1536 * 2);
  });

  test('that cannot fit is refused with the numbers and the settings that would', () => {
    const refused = (bytes: number, settings: Partial<MemorySettings>): string => {
      try {
        fittedTo(bytes, settings);
      } catch (error) {
        return (error as Error).message;
      }
      return expect.fail('it was not refused');
    };
    const told = (bytes: number) => (bytes / GIB).toFixed(2);
    const message = refused(recomputed.total - 1, {});
    expect(message).toContain(`needs ${told(recomputed.total)} GiB of tensors (weights and optimiser`);
    expect(message).toContain(`the card has ${told(recomputed.total - 1)} GiB for this run's tensors, of 64.00 GiB`);
    expect(message).toMatch(
      /fit: train\.feature_cache left out \(.* GiB\); or train\.batch_tokens: 1024 \(.* GiB\)\.$/,
    );
    expect(refused(plain.total - 1, { recompute: false })).toContain(
      `train.recompute: auto (${told(recomputed.total)} GiB)`,
    );
    expect(refused(64 * GIB, { limit: 1 })).toContain('train.memory_limit leaves 0.75 GiB');
    expect(refused(0.5 * GIB, {})).toContain('No smaller micro-batch would fit');
  });

  test('counts what the evaluations hold', () => {
    const ids = new Int32Array(100);
    const prompts = Array.from({ length: 3 }, () => ({ name: 'a', ids, labelStart: 100, images: [] }));
    const reader = readingProgram(card, CONFIG, { precision: 'bf16' }, prompts, 284);
    // Keys and values of 4 sequences of 384 tokens in 6 layers, 2 heads of 128 in bfloat16; each one's 1000 first logits
    expect(memoryNeed(card, trace(WANTED), reader).cache).toBe(2 * 4 * 384 * 6 * 2 * 128 * 2 + 4 * 1000 * 4);
  });
});

describe('a run on the CPU', () => {
  const cpu = createReferenceBackend();
  const on = (settings: Partial<MemorySettings>) => fitMemory(cpu, WANTED, trace, { ...SETTINGS, ...settings });
  const needed = memoryNeed(cpu, trace(WANTED), null);

  test('is left as asked for where the machine, or the limit set in its place, has room', () => {
    // The real memory of this machine, of which the plan takes a small part.
    expect(on({})).toMatchObject({
      options: WANTED,
      need: needed,
      room: { told: expect.stringMatching(/^this machine has/) },
    });
    expect(on({ limit: 100_000 })).toMatchObject({ options: WANTED });
  });

  test('is refused otherwise with the numbers, the settings that would fit and the way past it', () => {
    const limit = needed.total / GIB - 0.01;
    const told = (bytes: number) => (bytes / GIB).toFixed(2);
    expect(() => on({ limit })).toThrow(`the run needs ${told(needed.total)} GiB of tensors`);
    expect(() => on({ limit })).toThrow(`train.memory_limit allows ${limit.toFixed(2)} GiB. What would fit: `);
    expect(() => on({ limit })).toThrow(/train\.batch_tokens: 1024 .*A train\.memory_limit above that/);
    expect(() => on({ limit })).not.toThrow(/recompute/);
  });

  test('takes no setting of a card', () => {
    expect(() => on({ recompute: true })).toThrow(/train\.recompute: true: expected a card/);
  });
});
