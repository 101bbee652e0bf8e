// Attention on a CUDA card: forward and backward of a text batch and of a vision batch, and one decoding step; times by
// device events. TFLOP/s count what the masks let through, 4·d a pair and head forward and 10·d backward. Last line: JSON.
// Run: node bench/run.mjs cuda_attention
import {
  type AttentionShape,
  attentionGradLaunches,
  attentionLaunch,
  attentionSpansLaunch,
  cachedAttentionLaunch,
  type KernelLaunch,
} from '../src/backends/cuda/attention.ts';
import { Device } from '../src/backends/cuda/device.ts';
import { type Launch, type Pointer, packArguments } from '../src/backends/cuda/ffi/driver.ts';
import { kernelOf } from '../src/backends/cuda/kernels.ts';

const REPEATS = 30;
const device = new Device({});
const { driver, stream } = device;

/** Device memory with a copy of the array in it. */
function upload(data: NodeJS.ArrayBufferView): Pointer {
  const pointer = driver.allocate(data.byteLength, 'the measurement');
  driver.upload(pointer, data);
  return pointer;
}

/** bf16 numbers in (-1, 1), none of them tiny. */
function random(count: number): Pointer {
  const data = new Uint16Array(count);
  for (let i = 0, state = 1; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    data[i] = ((state >>> 31) << 15) | (0x3d80 + ((state >>> 16) & 0x1ff));
  }
  return upload(data);
}

/** Segment ids: runs of `length` tokens in each row, and padding at its end. */
function segments(tokens: number, row: number, length: number): { ids: Int32Array; perRow: number } {
  const perRow = Math.floor(row / length);
  const ids = Int32Array.from({ length: tokens }, (_, i) => {
    const segment = Math.floor((i % row) / length);
    return segment < perRow ? segment + 1 : 0;
  });
  return { ids, perRow };
}

/** The median milliseconds of launches in order. */
function measure(launches: readonly KernelLaunch[], pointers: Readonly<Record<string, Pointer>>): number {
  const ready = launches.map(({ sources, macros, kernel, grid, block, shared, args }): Launch => {
    const packed = packArguments(
      args.map((arg) =>
        'tensor' in arg ? { p: pointers[arg.tensor]! } : 'i32' in arg ? { i: arg.i32 } : { f: arg.f32 },
      ),
    );
    const made = kernelOf(sources, kernel, macros, shared);
    return { label: kernel, function: device.kernels.function(made), grid, block: block[0], shared, ...packed };
  });
  const [start, end] = [driver.createEvent(), driver.createEvent()];
  const times: number[] = [];
  for (let i = 0; i < REPEATS + 3; i++) {
    driver.do('cuEventRecord', start, stream);
    for (const launch of ready) driver.launch(launch, stream);
    driver.do('cuEventRecord', end, stream);
    driver.synchronize(stream, 'the measurement');
    if (i >= 3) times.push(driver.milliseconds(start, end));
  }
  return times.sort((a, b) => a - b)[REPEATS >> 1]!;
}

const results: Record<string, number> = {};
const report = (name: string, ms: number, rate: number, unit: string) => {
  results[`${name}.ms`] = Number(ms.toFixed(4));
  results[`${name}.${unit}`] = Math.round(rate);
  console.log(`${name}: ${ms.toFixed(3)} ms, ${rate.toFixed(0)} ${unit}`);
};

function attention(name: string, shape: AttentionShape, length: number): void {
  const { tokens, heads, kvHeads, width, row, causal } = shape;
  const [wide, narrow] = [tokens * heads * width, tokens * kvHeads * width];
  const { ids, perRow } = segments(tokens, row, length);
  const rest = row - perRow * length;
  const square = (n: number) => (causal ? (n * (n + 1)) / 2 : n * n);
  const pairs = (tokens / row) * (perRow * square(length) + square(rest)) * heads;
  const reserve = (bytes: number) => driver.allocate(bytes, name);
  const pointers = {
    ...{ q: random(wide), k: random(narrow), v: random(narrow), dout: random(wide), segments: upload(ids) },
    ...{ out: reserve(2 * wide), lse: reserve(4 * tokens * heads), delta: reserve(4 * tokens * heads) },
    ...{ spans: reserve(8 * tokens), dq: reserve(2 * wide), dk: reserve(2 * narrow), dv: reserve(2 * narrow) },
  };
  console.log(`${name}.spans: ${measure([attentionSpansLaunch(shape)], pointers).toFixed(3)} ms`);
  const forward = measure([attentionLaunch(shape)], pointers);
  report(`${name}.forward`, forward, (4 * width * pairs) / forward / 1e9, 'TFLOP/s');
  const backward = attentionGradLaunches(shape);
  const ms = measure(backward, pointers);
  report(`${name}.backward`, ms, (10 * width * pairs) / ms / 1e9, 'TFLOP/s');
  for (const launch of backward) {
    const part = measure([launch], pointers);
    results[`${name}.${launch.kernel}.ms`] = Number(part.toFixed(4));
    console.log(`  ${launch.kernel}: ${part.toFixed(3)} ms`);
  }
  for (const pointer of Object.values(pointers)) driver.free(pointer);
}

function decode(batch: number, length: number, capacity: number): void {
  const shape = { dtype: 'bf16', batch, heads: 12, kvHeads: 2, width: 128, capacity, scale: 128 ** -0.5 } as const;
  const launch = cachedAttentionLaunch(shape);
  const cache = batch * 2 * capacity * 128;
  const pointers = {
    ...{ q: random(batch * 12 * 128), kNew: random(batch * 2 * 128), vNew: random(batch * 2 * 128) },
    ...{ kCache: random(cache), vCache: random(cache), lengths: upload(new Int32Array(batch).fill(length)) },
    ...{
      out: driver.allocate(batch * 12 * 128 * 2, 'decode'),
      partials: driver.allocate(launch.partialBytes, 'decode'),
    },
    arrivals: upload(new Int32Array(launch.arrivals)),
    // Only kernels that turn q and k read angles.
    ...{ cosines: 0, sines: 0 },
  };
  const ms = measure([launch], pointers);
  report(`decode.batch${batch}.length${length}`, ms, (batch * length * 2 * 2 * 128 * 2) / ms / 1e6, 'GB/s');
  for (const pointer of Object.values(pointers)) driver.free(pointer);
}

const text = { dtype: 'bf16', heads: 12, kvHeads: 2, width: 128, causal: true, scale: 128 ** -0.5 } as const;
attention('text', { ...text, tokens: 16384, row: 1024 }, 190);
const vision = { dtype: 'bf16', heads: 16, kvHeads: 16, width: 80, causal: false, scale: 80 ** -0.5 } as const;
attention('vision', { ...vision, tokens: 18432, row: 288 }, 288);
for (const [batch, length] of [
  [1, 400],
  [1, 2048],
  [16, 400],
  [64, 400],
  [64, 2048],
] as const)
  decode(batch, length, 2048);
console.log(JSON.stringify({ card: driver.info.name, ...results }));
