// Elementwise kernels, with and without broadcasting, and those that a formula of one element defines.
import { isFloat, type TensorType } from '../../graph/types.ts';
import { expand, floats, type Kernel, type Kernels, roundTo, zeros } from './kernel.ts';

export const sigmoid = (x: number): number => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)));

/** erf by the series 2/√π·e^(−x²)·Σ 2ⁿx^(2n+1)/(2n+1)!!, whose terms all have one sign. */
export function erf(x: number): number {
  if (Number.isNaN(x)) return x;
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

function binary(floating: (a: number, b: number) => number, whole = floating): Kernel {
  return ([a, b], _attrs, [type]) => {
    const out = zeros(type!);
    const x = expand(a!, type!.shape);
    const y = expand(b!, type!.shape);
    const f = isFloat(a!.type.dtype) ? floating : whole;
    for (let i = 0; i < out.length; i++) out[i] = f(x[i]!, y[i]!);
    return [out];
  };
}

function unary(f: (x: number) => number): Kernel {
  return ([x], _attrs, [type]) => {
    const out = zeros(type!);
    for (let i = 0; i < out.length; i++) out[i] = f(x!.data[i]!);
    return [out];
  };
}

const larger = (a: number, b: number): number => Math.max(a, b);

/** The slope of gelu; Φ and φ are the normal distribution and its density. */
function geluSlope(x: number, kind: 'erf' | 'quick'): number {
  if (kind === 'quick') {
    const s = sigmoid(1.702 * x);
    return s + 1.702 * x * s * (1 - s);
  }
  return 0.5 * (1 + erf(x * Math.SQRT1_2)) + (x * Math.exp(-0.5 * x * x)) / Math.sqrt(2 * Math.PI);
}

const gelu = (x: number, kind: 'erf' | 'quick'): number =>
  kind === 'quick' ? x * sigmoid(1.702 * x) : 0.5 * x * (1 + erf(x * Math.SQRT1_2));

const toInt = (x: number): number => Math.trunc(x);

function castOne(from: TensorType, to: TensorType): (x: number) => number {
  if (to.dtype === 'bool') return (x) => (x !== 0 ? 1 : 0);
  if (to.dtype === 'i32') return isFloat(from.dtype) ? toInt : (x) => x;
  return (x) => roundTo(to.dtype, x);
}

export const elementwise: Kernels<
  | 'add'
  | 'sub'
  | 'mul'
  | 'div'
  | 'maximum'
  | 'less'
  | 'equal'
  | 'neg'
  | 'exp'
  | 'log'
  | 'sqrt'
  | 'sigmoid'
  | 'erf'
  | 'is_finite'
  | 'select'
  | 'cast'
  | 'gelu'
  | 'gelu_grad'
  | 'swiglu'
  | 'swiglu_grad'
> = {
  add: binary((a, b) => a + b),
  sub: binary((a, b) => a - b),
  mul: binary((a, b) => a * b, Math.imul),
  div: binary((a, b) => a / b),
  maximum: binary(larger),
  less: binary((a, b) => Number(a < b)),
  equal: binary((a, b) => Number(a === b)),
  neg: unary((x) => -x),
  exp: unary(Math.exp),
  log: unary(Math.log),
  sqrt: unary(Math.sqrt),
  sigmoid: unary(sigmoid),
  erf: unary(erf),
  is_finite: unary((x) => Number(Number.isFinite(x))),
  select([cond, a, b], _attrs, [type]) {
    const out = zeros(type!);
    const [c, x, y] = [cond, a, b].map((tensor) => expand(tensor!, type!.shape));
    for (let i = 0; i < out.length; i++) out[i] = c![i] ? x![i]! : y![i]!;
    return [out];
  },
  cast([x], _attrs, [type]) {
    const out = zeros(type!);
    const convert = castOne(x!.type, type!);
    for (let i = 0; i < out.length; i++) out[i] = convert(x!.data[i]!);
    return [out];
  },
  gelu: ([x], { kind }) => [floats(x).map((value) => gelu(value, kind))],
  gelu_grad: ([dy, x], { kind }) => {
    const slopes = floats(x);
    return [floats(dy).map((g, i) => g * geluSlope(slopes[i]!, kind))];
  },
  swiglu([gate, up]) {
    const u = floats(up);
    return [floats(gate).map((g, i) => g * sigmoid(g) * u[i]!)];
  },
  swiglu_grad([dy, gate, up]) {
    const g = floats(gate);
    const u = floats(up);
    const slope = (x: number): number => sigmoid(x) * (1 + x * (1 - sigmoid(x)));
    return [floats(dy).map((d, i) => d * u[i]! * slope(g[i]!)), floats(dy).map((d, i) => d * g[i]! * sigmoid(g[i]!))];
  },
};
