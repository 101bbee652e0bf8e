// How the attention kernels are launched: shapes and strides in; source files, macros, grid and arguments out. bf16 of a
// width that fits runs on tensor cores (attention.cu, attention_grad_*.cu); everything else on attention_simple.cu.
import type { DType } from '../../graph/types.ts';
import type { DeviceInfo } from './ffi/driver.ts';

/** An argument of a kernel, in order: a tensor by the name of its role, or a scalar by its type. */
export type KernelArgument = { readonly tensor: string } | { readonly i32: number } | { readonly f32: number };

export interface KernelLaunch {
  /** Files under kernels/ that follow the prelude, in order. */
  readonly sources: readonly string[];
  readonly macros: Readonly<Record<string, string | number>>;
  readonly kernel: string;
  readonly grid: readonly [number, number, number];
  readonly block: readonly [number, number, number];
  /** Bytes of dynamic shared memory. */
  readonly shared: number;
  readonly args: readonly KernelArgument[];
}

export interface AttentionShape {
  readonly dtype: DType;
  readonly tokens: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly width: number;
  /** Tokens of a row: attention stays within it. */
  readonly row: number;
  readonly causal: boolean;
  readonly scale: number;
  /** Elements from one token to the next, where q, k or v (dq, dk or dv) is a slice of a wider tensor. */
  readonly strides?: Partial<Record<'q' | 'k' | 'v' | 'dq' | 'dk' | 'dv', number>>;
}

export interface CachedAttentionShape {
  readonly dtype: DType;
  readonly batch: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly width: number;
  /** Rows a cache holds. */
  readonly capacity: number;
  readonly scale: number;
  /** The kernel turns q and k by their angles and writes the new row into the caches. */
  readonly turn?: boolean;
  /** The caches and lengths are as they were before the program, so that they can be read early. */
  readonly states?: boolean;
}

const STORAGE: Partial<Record<DType, string>> = { f32: 'float', bf16: 'bf16', f16: 'half' };
/** What of a card decides about tiles. */
export type Card = Pick<DeviceInfo, 'sharedBytes' | 'multiprocessors'> & {
  /** of the second-level cache */
  readonly l2Bytes: number;
};
/** H100, H200 */
export const HOPPER: Card = { sharedBytes: 227 * 1024, multiprocessors: 132, l2Bytes: 50 << 20 };

/** Keys (or queries) that a step of the gradients' kernels visits: more would leave room for one block at a time. */
const GRAD_COLUMNS = 32;

const tensors = (...names: string[]): KernelArgument[] => names.map((tensor) => ({ tensor }));
const ints = (...values: number[]): KernelArgument[] => values.map((i32) => ({ i32 }));

function storageOf(dtype: DType): string {
  const storage = STORAGE[dtype];
  if (!storage) throw new Error(`attention on CUDA: expected f32, bf16 or f16, got ${dtype}`);
  return storage;
}

/** The largest divisor of n that is at most `most`. */
function divisor(n: number, most: number): number {
  for (let d = Math.min(n, most); ; d--) if (n % d === 0) return d;
}

function stridesOf({ heads, kvHeads, width, strides = {} }: AttentionShape) {
  const [wide, narrow] = [heads * width, kvHeads * width];
  return { q: wide, k: narrow, v: narrow, dq: wide, dk: narrow, dv: narrow, ...strides };
}

/** Bytes of shared memory for tiles of `rows` rows (and `floats` more words). */
const tileBytes = (rows: number, { width }: AttentionShape, floats = 0): number => rows * (width + 8) * 2 + floats * 4;

/** Tokens a block owns of one head: 96 divides the 288 patches of a usual picture; wider heads lack registers for it. */
const rowsAlone = (row: number, width: number): number => (row % 96 === 0 && row % 64 !== 0 && width <= 80 ? 96 : 64);

/** Blocks that a multiprocessor shall hold at once: as many as registers allow without spills. */
const minBlocks = (threads: number, width: number): number => (threads > 128 ? 2 : width <= 80 ? 3 : 2);

/**
 * Tiles of the kernels that own queries. Heads of a group go together and share what they read of the keys, so a block
 * owns few tokens and sees few keys beyond their segments.
 */
function queryTiles(shape: AttentionShape, columns: number) {
  const { heads, kvHeads, width, row } = shape;
  const together = divisor(heads / kvHeads, 6);
  const rows = together === 1 ? rowsAlone(row, width) : 16 * Math.floor(6 / together);
  const threads = together * rows * 2;
  return {
    HEAD_DIM: width,
    HEADS: together,
    ROWS: rows,
    COLUMNS: columns,
    THREADS: threads,
    MIN_BLOCKS: minBlocks(threads, width),
  };
}

/** Tiles of the kernel that owns keys; two sets of warps take half of a group's heads each, so that blocks end sooner. */
function keyTiles({ heads, kvHeads, width, row }: AttentionShape) {
  const sets = (heads / kvHeads) % 2 === 0 ? 2 : 1;
  const rows = sets === 2 ? 32 : rowsAlone(row, width);
  const threads = sets * rows * 2;
  return {
    ...{ HEAD_DIM: width, ROWS: rows, COLUMNS: GRAD_COLUMNS, SETS: sets },
    ...{ THREADS: threads, MIN_BLOCKS: minBlocks(threads, width) },
  };
}

const keyBytes = (tiles: Pick<ReturnType<typeof keyTiles>, 'ROWS' | 'COLUMNS' | 'SETS'>, shape: AttentionShape) =>
  tileBytes(2 * tiles.ROWS + 4 * tiles.SETS * tiles.COLUMNS, shape, 4 * tiles.SETS * tiles.COLUMNS);

/** Whether the kernels on tensor cores have registers for heads of this width. */
export const tensorCoresTake = (dtype: DType, width: number): boolean =>
  dtype === 'bf16' && width % 16 === 0 && width <= 128;

/** Whether the kernels on tensor cores take this shape: a width that they can, rows of 16 bytes. */
export function onTensorCores(shape: AttentionShape, card = HOPPER): boolean {
  return (
    tensorCoresTake(shape.dtype, shape.width) &&
    shape.scale > 0 && // a maximum of scores is one of scaled scores
    Object.values(stridesOf(shape)).every((stride) => stride % 8 === 0) &&
    // the kernels that need most are those of the gradients
    Math.max(tileBytes(2 * 96 + 4 * GRAD_COLUMNS, shape), keyBytes(keyTiles(shape), shape)) <= card.sharedBytes
  );
}

/** The simple kernels: a warp to each of `warps`, four in a block. */
function simple(shape: AttentionShape, kernel: string, warps: number, args: KernelArgument[]): KernelLaunch {
  return {
    sources: ['attention_simple.cu'],
    macros: { STORAGE: storageOf(shape.dtype), HEAD_DIM: shape.width },
    kernel,
    grid: [Math.ceil(warps / 4), 1, 1],
    block: [128, 1, 1],
    shared: 0,
    args,
  };
}

/** (segments) → spans, i32 [T, 2], which the kernels on tensor cores read (attention_spans.cu). */
export function attentionSpansLaunch({ tokens, row }: Pick<AttentionShape, 'tokens' | 'row'>): KernelLaunch {
  const threads = 256;
  return {
    sources: ['attention_spans.cu'],
    macros: { THREADS: threads },
    kernel: 'attention_spans',
    grid: [tokens / row, Math.ceil(row / threads), 1],
    block: [threads, 1, 1],
    shared: 0,
    args: [...tensors('segments', 'spans'), ...ints(row)],
  };
}

/** (q, k, v, segments, spans) → out, lse. Rows of q, k and v begin at multiples of 16 bytes. */
export function attentionLaunch(shape: AttentionShape, card = HOPPER): KernelLaunch {
  const { tokens, heads, kvHeads, row, causal, scale } = shape;
  const { q, k, v } = stridesOf(shape);
  const inputs = ['q', 'k', 'v', 'segments'];
  const rest = [...ints(row, heads, heads / kvHeads, q, k, v, Number(causal)), { f32: scale }];
  if (!onTensorCores(shape, card)) {
    const roles = tensors(...inputs, 'out', 'lse');
    return simple(shape, 'attention_simple', tokens * heads, [...roles, { i32: tokens }, ...rest]);
  }
  const macros = queryTiles(shape, 32);
  const shared = (columns: number) => tileBytes(macros.HEADS * macros.ROWS + 4 * columns, shape);
  const most = macros.ROWS === 96 ? 96 : 64;
  if (shared(most) <= card.sharedBytes) macros.COLUMNS = most;
  return {
    sources: ['attention_tiles.cuh', 'attention.cu'],
    macros,
    kernel: 'attention',
    grid: [(tokens / row) * Math.ceil(row / macros.ROWS), heads / macros.HEADS, 1],
    block: [macros.THREADS, 1, 1],
    shared: shared(macros.COLUMNS),
    args: [...tensors(...inputs, 'spans', 'out', 'lse'), ...rest],
  };
}

/**
 * (dout, q, k, v, segments, spans, out, lse) → dq, dk, dv, by launches in order. `delta` is scratch, f32 [T, H], that
 * the first launch writes and the second reads; the simple kernels need neither it nor spans.
 */
export function attentionGradLaunches(shape: AttentionShape, card = HOPPER): KernelLaunch[] {
  const { tokens, heads, kvHeads, row, causal, scale } = shape;
  const { q, k, v, dq, dk, dv } = stridesOf(shape);
  const group = heads / kvHeads;
  const inputs = tensors('dout', 'q', 'k', 'v', 'segments');
  const rest = (...targets: number[]) => [
    ...ints(row, heads, group, q, k, v, ...targets, Number(causal)),
    { f32: scale },
  ];
  if (!onTensorCores(shape, card)) {
    const saved = tensors('out', 'lse');
    return [
      simple(shape, 'attention_grad_simple_queries', tokens * heads, [
        ...[...inputs, ...saved, ...tensors('dq'), { i32: tokens }, ...rest(dq)],
      ]),
      simple(shape, 'attention_grad_simple_keys', tokens * kvHeads, [
        ...[...inputs, ...saved, ...tensors('dk', 'dv'), { i32: tokens }, ...rest(dk, dv)],
      ]),
    ];
  }
  inputs.push({ tensor: 'spans' });
  const queries = queryTiles(shape, GRAD_COLUMNS);
  const keys = keyTiles(shape);
  return [
    {
      sources: ['attention_tiles.cuh', 'attention_grad_queries.cu'],
      macros: queries,
      kernel: 'attention_grad_queries',
      grid: [(tokens / row) * Math.ceil(row / queries.ROWS), heads / queries.HEADS, 1],
      block: [queries.THREADS, 1, 1],
      shared: tileBytes(2 * queries.HEADS * queries.ROWS + 4 * queries.COLUMNS, shape),
      args: [...inputs, ...tensors('out', 'lse', 'dq', 'delta'), ...rest(dq)],
    },
    {
      sources: ['attention_tiles.cuh', 'attention_grad_keys.cu'],
      macros: keys,
      kernel: 'attention_grad_keys',
      grid: [(tokens / row) * Math.ceil(row / keys.ROWS), kvHeads, 1],
      block: [keys.THREADS, 1, 1],
      shared: keyBytes(keys, shape),
      args: [...inputs, ...tensors('lse', 'delta', 'dk', 'dv'), ...rest(dk, dv)],
    },
  ];
}

/** How the lanes of a team hold a head of one decoding step: elements a lane, and lanes. */
function teamOf({ dtype, width }: Pick<CachedAttentionShape, 'dtype' | 'width'>): { vector: number; lanes: number } {
  const perLoad = 16 / (dtype === 'f32' ? 4 : 2);
  const vector = [8, 4, 2, 1].find((n) => n <= perLoad && width % n === 0)!;
  return { vector, lanes: 2 ** Math.ceil(Math.log2(width / vector)) };
}

/** Whether the decoding kernel can turn heads of this width: a lane's partner in the other half is then a lane too. */
export function canTurn(shape: Pick<CachedAttentionShape, 'dtype' | 'width'>): boolean {
  const { vector, lanes } = teamOf(shape);
  return lanes >= 2 && lanes * vector === shape.width;
}

export interface CachedAttentionLaunch extends KernelLaunch {
  /** Bytes of the scratch tensor `partials`. */
  readonly partialBytes: number;
  /** Numbers in `arrivals`, i32: zero before the first launch; each launch leaves them so. */
  readonly arrivals: number;
}

/** Batches of rows that a block takes at least: to merge two blocks' sums costs as much as several. */
const LEAST_BATCHES = 4;

/** (q, kNew, vNew, kCache, vCache, lengths, cosines, sines) → out, with `partials` and `arrivals` beside. */
export function cachedAttentionLaunch(shape: CachedAttentionShape, card = HOPPER): CachedAttentionLaunch {
  const { dtype, batch, heads, kvHeads, width, capacity, scale, turn = false, states = false } = shape;
  const storage = storageOf(dtype);
  const { vector, lanes } = teamOf(shape);
  if (lanes > 32) throw new Error(`cached attention on CUDA: heads of ${width} ${dtype} are too wide`);
  const group = heads / kvHeads;
  // Heads share the rows they read where caches outgrow the second-level cache, fewer where that leaves multiprocessors
  // without work; else each head reads them from there, which is quicker (docs/log.md).
  const cacheBytes = 2 * batch * kvHeads * capacity * width * (dtype === 'f32' ? 4 : 2);
  const divided = (served: number) => {
    const blocks = batch * (heads / served);
    const threads = blocks < 4 * card.multiprocessors ? 256 : 128;
    const mostSplits = Math.min(32, Math.ceil(capacity / (LEAST_BATCHES * (threads / lanes) * 4)));
    // Twice two blocks on every multiprocessor, so that long sequences share with short ones; at most 32 to merge.
    const splits = Math.max(1, Math.min(mostSplits, Math.ceil((4 * card.multiprocessors) / blocks)));
    return { blocks, threads, splits, idle: blocks * mostSplits < card.multiprocessors };
  };
  let served = cacheBytes > card.l2Bytes ? divisor(group, 8) : 1;
  while (served > 1 && divided(served).idle) served = divisor(group, served - 1);
  const { blocks, threads, splits } = divided(served);
  return {
    sources: ['cached_attention.cu'],
    macros: {
      ...{ STORAGE: storage, HEAD_DIM: width, GROUP: served, VECTOR: vector, LANES: lanes },
      ...{ TURN: Number(turn), STATES: Number(states), THREADS: threads, LEAST: LEAST_BATCHES },
    },
    kernel: 'cached_attention',
    grid: [splits, heads / served, batch],
    block: [threads, 1, 1],
    shared: 0,
    args: [
      ...tensors('q', 'kNew', 'vNew', 'kCache', 'vCache', 'lengths', 'cosines', 'sines'),
      ...tensors('out', 'partials', 'arrivals'),
      ...ints(capacity, group / served),
      { f32: scale },
    ],
    partialBytes: splits * batch * heads * (width + 2) * 4,
    arrivals: blocks,
  };
}
