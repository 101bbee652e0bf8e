// What LoRA training of the Qwen2-VL-2B shape is planned to take on a card, with and without recomputation by layer:
// 16 and 64 samples a step. Plans alone: it needs no card. The last line is JSON.
// Run: node bench/run.mjs cuda_memory
import { planProgram } from '../src/backends/cuda/plan.ts';
import { programMemory } from '../src/backends/cuda/program.ts';
import { allocatedBytes } from '../src/backends/cuda/store.ts';
import type { Graph } from '../src/graph/graph.ts';
import { bytesOf, type TensorType } from '../src/graph/types.ts';
import { loraParameters, loraSpec } from '../src/models/qwen2_vl/adapter.ts';
import { memoryNeed, tellNeed } from '../src/train/memory.ts';
import { type TrainerOptions, tracePrograms } from '../src/train/trainer.ts';
import { QWEN2_VL_2B } from './cuda/model.ts';
import { LORA } from './cuda/training.ts';

const config = QWEN2_VL_2B;
const lora = loraSpec(config, LORA);
const results: Record<string, unknown> = {};
const backend = {
  decomposed: new Set<string>(),
  typeOf: (name: string): never => {
    throw new Error(`state '${name}': a whole step reads no types`);
  },
  needs: (graph: Graph) => programMemory(graph, planProgram(graph)),
  stateBytes: (type: TensorType) => allocatedBytes(bytesOf(type)),
};
for (const samples of [16, 64])
  for (const recompute of [false, true]) {
    const options: TrainerOptions = {
      // 208 tokens and 72 label tokens a sample, whose image has 288 patches
      bucket: { tokens: samples * 208, row: 3328, patches: samples * 288, patchRow: 288, labels: samples * 72 },
      accumulate: 1,
      lora,
      trained: loraParameters(config, lora).map(({ name }) => name),
      dropout: LORA.dropout,
      seed: 1,
      update: { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, maxGradNorm: 1 },
      precision: 'bf16',
      keepFeatures: null,
      recompute,
    };
    const need = memoryNeed(backend, tracePrograms(backend, config, options), null);
    const name = `${samples} samples${recompute ? ', recomputed' : ''}`;
    console.log(`${name}: ${tellNeed(need)}`);
    results[name] = need;
  }
console.log(JSON.stringify({ bench: 'cuda_memory', results }));
