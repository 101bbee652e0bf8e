// Kernels that memory holds back, by themselves on a card, at the shapes of a training step of the Qwen2-VL-2B shape with
// 64 samples: microseconds, and gigabytes a second of what must be read and written. Each op is a program of its own over
// states; a time holds some microseconds of its launch. Products, attention and decoding have benchmarks of their own
// (cuda_products, cuda_attention, decode). The last line is JSON.
// Run: node bench/run.mjs cuda_rows
import { createCudaBackend } from '../src/backends/cuda/index.ts';
import { Graph, type Value } from '../src/graph/graph.ts';
import { bytesOf, type DType, type Shape, type TensorType } from '../src/graph/types.ts';
import { adamw } from '../src/ops/adamw.ts';
import { add } from '../src/ops/add.ts';
import { cast } from '../src/ops/cast.ts';
import { concat } from '../src/ops/concat.ts';
import { dropoutMask } from '../src/ops/dropout_mask.ts';
import { gatherRows } from '../src/ops/gather_rows.ts';
import { gelu } from '../src/ops/gelu.ts';
import { layerNorm } from '../src/ops/layer_norm.ts';
import { layerNormGrad } from '../src/ops/layer_norm_grad.ts';
import { linearCrossEntropyOp } from '../src/ops/linear_cross_entropy.ts';
import { mul } from '../src/ops/mul.ts';
import { pad } from '../src/ops/pad.ts';
import { reduceMax } from '../src/ops/reduce_max.ts';
import { reduceSum } from '../src/ops/reduce_sum.ts';
import { rmsNorm } from '../src/ops/rms_norm.ts';
import { rmsNormGrad } from '../src/ops/rms_norm_grad.ts';
import { rope } from '../src/ops/rope.ts';
import { scatterAddRows } from '../src/ops/scatter_add_rows.ts';
import { softmax } from '../src/ops/softmax.ts';
import { sumOfSquares } from '../src/ops/sum_of_squares.ts';
import { swiglu } from '../src/ops/swiglu.ts';
import { swigluGrad } from '../src/ops/swiglu_grad.ts';
import { median, round } from './statistics.ts';

/** Tokens and patches of 64 samples, label rows whose logits are made at once, and the model's widths. */
const [TOKENS, PATCHES, LABELS] = [12416, 18432, 512];
const [WIDTH, VISION, INNER, VOCABULARY] = [1536, 1280, 8960, 151936];
const RUNS = 12;

/** Makes states that hold numbers, and gives them to a program. */
type States = (dtype: DType, ...shape: number[]) => Value;

const CASES: Record<string, (of: States) => Value | readonly Value[]> = {
  rms_norm: (of) => rmsNorm(of('bf16', TOKENS, WIDTH), of('bf16', WIDTH), 1e-6),
  rms_norm_grad: (of) => {
    const [dy, x, w, rstd] = [
      of('bf16', TOKENS, WIDTH),
      of('bf16', TOKENS, WIDTH),
      of('bf16', WIDTH),
      of('f32', TOKENS, 1),
    ];
    return rmsNormGrad(dy, x, w, rstd)[0];
  },
  layer_norm: (of) => layerNorm(of('bf16', PATCHES, VISION), of('bf16', VISION), of('bf16', VISION), 1e-6),
  layer_norm_grad: (of) => {
    const [dy, x, w] = [of('bf16', PATCHES, VISION), of('bf16', PATCHES, VISION), of('bf16', VISION)];
    return layerNormGrad(dy, x, w, of('f32', PATCHES, 1), of('f32', PATCHES, 1));
  },
  rope: (of) => rope(of('bf16', TOKENS, 12, 128), of('f32', TOKENS, 64), of('f32', TOKENS, 64)),
  gelu: (of) => gelu(of('bf16', PATCHES, 4 * VISION), 'quick'),
  swiglu: (of) => swiglu(of('bf16', TOKENS, INNER), of('bf16', TOKENS, INNER)),
  swiglu_grad: (of) => swigluGrad(of('bf16', TOKENS, INNER), of('bf16', TOKENS, INNER), of('bf16', TOKENS, INNER)),
  dropout: (of) => {
    const mask = dropoutMask(of('i32'), { shape: [TOKENS, WIDTH], p: 0.05, key: 1 });
    return mul(of('bf16', TOKENS, WIDTH), cast(mask, 'bf16'));
  },
  add: (of) => add(of('bf16', TOKENS, WIDTH), of('bf16', TOKENS, WIDTH)),
  softmax: (of) => softmax(of('f32', PATCHES, 1024)),
  'reduce_sum of rows': (of) => reduceSum(of('f32', PATCHES, VISION), [1]),
  'reduce_sum of columns': (of) => reduceSum(of('f32', PATCHES, VISION), [0]),
  reduce_max: (of) => reduceMax(of('f32', PATCHES, VISION), [1]),
  gather_rows: (of) => gatherRows(of('bf16', TOKENS, WIDTH), of('i32', TOKENS)),
  scatter_add_rows: (of) => scatterAddRows(of('bf16', TOKENS, WIDTH), of('i32', TOKENS), TOKENS),
  concat: (of) => concat([of('bf16', TOKENS, WIDTH), of('bf16', TOKENS, WIDTH)], 0),
  pad: (of) => pad(of('bf16', TOKENS, WIDTH), [1, 0], [1, 0]),
  sum_of_squares: (of) => sumOfSquares(Array.from({ length: 8 }, () => of('f32', INNER, 1024))),
  adamw: (of) => {
    const [p, g, m, v] = Array.from({ length: 4 }, () => of('f32', INNER, 1024)) as [Value, Value, Value, Value];
    const scalars = { lr: of('f32'), scale: of('f32'), c1: of('f32'), c2: of('f32') };
    return adamw({ p, g, m, v, ...scalars }, { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 });
  },
  cross_entropy: (of) => {
    const inputs = [of('bf16', LABELS, WIDTH), of('bf16', VOCABULARY, WIDTH), of('i32', LABELS), of('f32', LABELS)];
    const attrs = { chunk: LABELS, weightGrad: false };
    return inputs[0]!.graph.apply(linearCrossEntropyOp, inputs, attrs).slice(0, 2); // the loss and the hidden rows' gradient
  },
};

/** What a kernel must move that its inputs and results do not tell: logits are read twice and their gradient written. */
const BYTES: Record<string, number> = { cross_entropy: LABELS * VOCABULARY * (4 + 4 + 2) };

const times = new Map<string, number[]>();
const backend = await createCudaBackend({
  profile: (label, ms) => times.set(label, [...(times.get(label) ?? []), ms]),
});

/** Row numbers in a shuffled order, or 0.01 everywhere. */
function fill(name: string, type: TensorType): void {
  const size = bytesOf(type) / bytesOf({ ...type, shape: [] });
  if (type.dtype === 'i32')
    backend.setState(
      name,
      type,
      Int32Array.from({ length: size }, (_, i) => (i * 7919) % size),
    );
  else if (type.dtype === 'bf16') backend.setState(name, type, new Uint16Array(size).fill(0x3c23));
  else backend.setState(name, type, new Float32Array(size).fill(0.01));
}

const results: Record<string, { us: number; gigabytesPerSecond: number }> = {};
for (const [name, build] of Object.entries(CASES)) {
  const graph = new Graph(backend.decomposed);
  const made: string[] = [];
  const state = (dtype: DType, shape: Shape): Value => {
    const name = `s${made.length}`;
    made.push(name);
    fill(name, { dtype, shape });
    return graph.state(name, shape, dtype);
  };
  const out = [build((dtype, ...shape) => state(dtype, shape))].flat();
  const inputs = [...graph.states.values()];
  // Results stay on the card.
  for (const value of out) graph.assign(state(value.dtype, value.shape), value);
  const program = await backend.compile(graph);
  times.clear();
  for (let run = 0; run < RUNS; run++) await program.run({});
  await program.dispose();
  for (const state of made) backend.deleteState(state);
  // The kernels of one op follow one another, some several times. Products are measured elsewhere, and copies into states
  // are this benchmark's own.
  const own = [...times].filter(([label]) => !/^(product|state) /.test(label)).map(([, each]) => each);
  const ms = own.map((each) => (median(each.slice(each.length / 4)) * each.length) / RUNS);
  const launches = own.reduce((sum, each) => sum + each.length, 0) / RUNS;
  const us = 1000 * ms.reduce((sum, one) => sum + one, 0);
  const bytes = BYTES[name] ?? [...inputs, ...out].reduce((sum, { type }) => sum + bytesOf(type), 0);
  results[name] = { us: round(us, 1), gigabytesPerSecond: round(bytes / us / 1000, 0) };
  console.log(`${name}: ${us.toFixed(1)} µs, ${results[name].gigabytesPerSecond} GB/s (launches: ${launches})`);
}
console.log(JSON.stringify({ bench: 'cuda_rows', results }));
process.exit(0);
