// Elementwise ops as C expressions, and the code of a kernel that runs a group of them in one pass over memory.
// Values stay in float32 between the ops of a group; only what leaves it is rounded to its dtype.
import { createHash } from 'node:crypto';
import type { Attrs, Value } from '../../graph/graph.ts';
import { type DType, sizeOf } from '../../graph/types.ts';
import type { Item } from './item.ts';
import type { Kernel } from './kernels.ts';
import { axesOf, type View } from './view.ts';

type Expression = (args: readonly string[], attrs: Attrs, types: readonly DType[]) => string | readonly string[];

const binary =
  (operator: string): Expression =>
  ([a, b]) =>
    `${a} ${operator} ${b}`;

/** What each elementwise op computes; several results for an op of several outputs. `$i` is the element's index. */
const EXPRESSIONS = {
  add: binary('+'),
  sub: binary('-'),
  mul: binary('*'),
  div: binary('/'),
  less: binary('<'),
  equal: binary('=='),
  maximum: ([a, b], _attrs, [type]) => (type === 'i32' ? `max(${a}, ${b})` : `maximum(${a}, ${b})`),
  neg: ([x]) => `-${x}`,
  exp: ([x]) => `expf(${x})`,
  log: ([x]) => `logf(${x})`,
  sqrt: ([x]) => `sqrtf(${x})`,
  erf: ([x]) => `erff(${x})`,
  sigmoid: ([x]) => `sigmoid(${x})`,
  is_finite: ([x]) => `is_finite(${x})`,
  select: ([condition, a, b]) => `${condition} ? ${a} : ${b}`,
  cast: ([x], { to }) => (to === 'i32' ? `(int)(${x})` : to === 'bool' ? `(bool)(${x})` : `(float)(${x})`),
  copy: ([x]) => `${x}`,
  gelu: ([x], { kind }) => (kind === 'erf' ? `gelu_erf(${x})` : `gelu_quick(${x})`),
  gelu_grad: ([dy, x], { kind }) => `${dy} * ${kind === 'erf' ? 'gelu_erf_grad' : 'gelu_quick_grad'}(${x})`,
  swiglu: ([gate, up]) => `${gate} * sigmoid(${gate}) * ${up}`,
  swiglu_grad: ([dy, gate, up]) => [`${dy} * ${up} * silu_grad(${gate})`, `${dy} * ${gate} * sigmoid(${gate})`],
  // The key is an argument, so that all layers share one kernel.
  dropout_mask: ([tick], { p }) => {
    const probability = p as number;
    const threshold = Math.floor(probability * 2 ** 32);
    return `dropout_keep($i, mix32((unsigned)${tick} ^ $key), ${threshold}u) ? ${float(1 / (1 - probability))} : 0.0f`;
  },
  uniform: ([key, tick]) => `uniform_at((unsigned)${key}, (unsigned)${tick})`,
} satisfies Record<string, Expression>;

export type PointwiseOp = keyof typeof EXPRESSIONS;
export const isPointwise = (op: string): op is PointwiseOp => Object.hasOwn(EXPRESSIONS, op);

/** A float32 literal in C. */
export function float(value: number): string {
  if (Number.isNaN(value)) return '__int_as_float(0x7fc00000)';
  if (!Number.isFinite(value)) return `__int_as_float(${value > 0 ? '0x7f800000' : '0xff800000'})`;
  const text = Math.fround(value).toPrecision(9);
  return `${/[.e]/.test(text) ? text : `${text}.0`}f`;
}

export const C_TYPE: Record<DType, string> = {
  f32: 'float',
  bf16: 'bf16',
  f16: 'half',
  i32: 'int',
  u8: 'unsigned char',
  bool: 'unsigned char',
};
const REGISTER: Record<DType, string> = {
  f32: 'float',
  bf16: 'float',
  f16: 'float',
  i32: 'int',
  u8: 'int',
  bool: 'bool',
};
const BYTES: Record<DType, number> = { f32: 4, bf16: 2, f16: 2, i32: 4, u8: 1, bool: 1 };

/** A value that the group reads, through a view broadcast to the shape of the item that reads it. */
export interface Operand {
  readonly view: View;
  /** the number it holds everywhere, or null */
  readonly literal: number | null;
}

export interface PointwiseKernel {
  readonly kernel: Kernel;
  /** elements a thread works on */
  readonly width: number;
  /** the arguments, in this order: what is read, what is written, and the keys of dropout */
  readonly loads: readonly View[];
  readonly stores: readonly Value[];
  readonly keys: readonly number[];
}

export const THREADS = 256;

/** How a view's axes are walked from a linear index. */
interface Access {
  /** element offset for the first lane of a thread, in terms of `i` */
  readonly base: string;
  /** what a lane adds: 'vector' its number, 'same' nothing, 'each' its own walk */
  readonly lanes: 'vector' | 'same' | 'each';
}

function access(view: View, size: number, width: number): Access {
  const axes = axesOf(view);
  const inner = axes.at(-1);
  if (!inner || axes.every(({ stride }) => stride === 0)) return { base: '0', lanes: 'same' };
  /** Offset = Σ (index / below % length) · stride, innermost axis last. */
  const walk = (index: string): string => {
    let below = 1;
    const terms: string[] = [];
    for (const { size: length, stride } of axes.slice().reverse()) {
      const divided = below === 1 ? index : `${index} / ${below}u`;
      const wrapped = below * length >= size ? `(${divided})` : `(${divided}) % ${length}u`;
      if (stride !== 0) terms.push(stride === 1 ? wrapped : `${wrapped} * ${stride}u`);
      below *= length;
    }
    return terms.join(' + ');
  };
  if (width === 1) return { base: walk('i'), lanes: 'same' };
  const bytes = BYTES[view.root.dtype];
  const onBoundary = (elements: number) => (elements * bytes) % Math.min(16, width * bytes) === 0;
  const whole = inner.size % width === 0;
  if (whole && inner.stride === 0) return { base: walk('i'), lanes: 'same' };
  const aligned = onBoundary(view.offset) && axes.slice(0, -1).every(({ stride }) => onBoundary(stride));
  if (whole && inner.stride === 1 && aligned) return { base: walk('i'), lanes: 'vector' };
  return { base: walk('(i + j)'), lanes: 'each' };
}

const sameView = (a: View, b: View): boolean =>
  a.root === b.root &&
  a.offset === b.offset &&
  a.shape.join() === b.shape.join() &&
  a.strides.join() === b.strides.join();

/**
 * The kernel of a group.
 * @param operand how an item's input is read when the group does not make it
 * @param inside the group's own value that an input is, or null when it comes from memory
 * @param stores the group's values that others read
 */
export function pointwiseKernel(
  items: readonly Item[],
  size: number,
  operand: (item: Item, input: number) => Operand,
  inside: (value: Value) => Value | null,
  stores: readonly Value[],
): PointwiseKernel {
  const widest = Math.max(
    ...stores.map(({ dtype }) => BYTES[dtype]),
    ...items.flatMap((item) => item.inputs.map(({ dtype }) => BYTES[dtype])),
  );
  const wanted = widest === 4 && stores.every(({ dtype }) => BYTES[dtype] === 4) ? 4 : 8;
  const width = size % wanted === 0 ? wanted : 1;
  const loads: View[] = [];
  const keys: number[] = [];
  const loaded: string[] = [];
  const names = new Map<Value, string>();
  const prologue: string[] = [];
  const body: string[] = [];

  /** Reads a view once, before the lanes' loop, and gives what a lane sees of it. */
  const load = (view: View, dtype: DType): string => {
    const known = loads.findIndex((other) => sameView(other, view));
    if (known >= 0) return loaded[known]!;
    const n = loads.push(view) - 1;
    const type = C_TYPE[dtype];
    const { base, lanes } = access(view, size, width);
    if (lanes === 'same') prologue.push(`const ${type} in${n} = p${n}[${base}];`);
    else if (lanes === 'vector')
      prologue.push(`const Vec<${type}, ${width}> in${n} = *(const Vec<${type}, ${width}>*)(p${n} + ${base});`);
    else {
      prologue.push(`Vec<${type}, ${width}> in${n};`);
      prologue.push(`for (int j = 0; j < ${width}; j++) in${n}.x[j] = p${n}[${base}];`);
    }
    const lane = `in${n}${lanes === 'same' ? '' : '.x[j]'}`;
    // A byte is a number where it is no bool.
    loaded[n] = dtype === 'u8' ? `(int)${lane}` : `get(${lane})`;
    return loaded[n];
  };

  for (const item of items) {
    const args = item.inputs.map((input, n) => {
      const own = inside(input);
      if (own) return names.get(own)!;
      const { view, literal } = operand(item, n);
      if (literal !== null)
        return input.dtype === 'i32' ? `${literal}` : input.dtype === 'bool' ? `${literal !== 0}` : float(literal);
      return load(view, input.dtype);
    });
    const op = item.op as PointwiseOp;
    const types = item.inputs.map(({ dtype }) => dtype);
    if (op === 'dropout_mask') keys.push(item.attrs.key as number);
    const made = (EXPRESSIONS[op] as Expression)(args, item.attrs, types);
    item.outputs.forEach((out, n) => {
      const text = typeof made === 'string' ? made : made[n]!;
      const variable = `v${names.size}`;
      names.set(out, variable);
      const code = text.replaceAll('$i', '(i + j)').replaceAll('$key', `k${keys.length - 1}`);
      body.push(`const ${REGISTER[out.dtype]} ${variable} = ${code};`);
    });
  }
  for (const [n, value] of stores.entries()) body.push(`put(out${n}.x[j], ${names.get(value)});`);

  const parameters = [
    ...loads.map(({ root }, n) => `const ${C_TYPE[root.dtype]}* p${n}`),
    ...stores.map(({ dtype }, n) => `${C_TYPE[dtype]}* q${n}`),
    ...keys.map((_, n) => `unsigned k${n}`),
  ];
  const kernel = generated(
    'pointwise',
    `(${parameters.join(', ')}) {
  const unsigned i = (blockIdx.x * ${THREADS}u + threadIdx.x) * ${width}u;
  if (i >= ${size}u) return;
${prologue.map((line) => `  ${line}`).join('\n')}
${stores.map(({ dtype }, n) => `  Vec<${C_TYPE[dtype]}, ${width}> out${n};`).join('\n')}
#pragma unroll
  for (int j = 0; j < ${width}; j++) {
${body.map((line) => `    ${line}`).join('\n')}
  }
${stores.map(({ dtype }, n) => `  *(Vec<${C_TYPE[dtype]}, ${width}>*)(q${n} + i) = out${n};`).join('\n')}
}
`,
  );
  return { kernel, width, loads, stores, keys };
}

/** A kernel named after its text, so that many can be compiled as one source. */
function generated(title: string, rest: string): Kernel {
  const name = `${title}_${createHash('sha256').update(rest).digest('hex').slice(0, 12)}`;
  return { source: `extern "C" __global__ void __launch_bounds__(${THREADS}) ${name}${rest}`, name, shared: 0 };
}

/** The kernel that copies a view's elements, of one dtype, to where another view's lie; and how many blocks it takes. */
export function copyKernel(from: View, to: View): { kernel: Kernel; blocks: number } {
  const size = sizeOf(from.shape);
  const type = C_TYPE[from.root.dtype];
  const isVector = (width: number) => [from, to].every((view) => access(view, size, width).lanes === 'vector');
  const width = [8, 4].find((candidate) => size % candidate === 0 && isVector(candidate)) ?? 1;
  const unit = width === 1 ? type : `Vec<${type}, ${width}>`;
  const kernel = generated(
    'copy',
    `(const ${type}* p, ${type}* q) {
  const unsigned i = (blockIdx.x * ${THREADS}u + threadIdx.x) * ${width}u;
  if (i >= ${size}u) return;
  *(${unit}*)(q + ${access(to, size, width).base}) = *(const ${unit}*)(p + ${access(from, size, width).base});
}
`,
  );
  return { kernel, blocks: Math.ceil(size / (THREADS * width)) };
}
