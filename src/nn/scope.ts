// How model code reaches its weights: named states, cast to the compute dtype, with LoRA (Hu et al. 2021) added to the
// linear layers it targets. One skinny product serves all layers that read the same input.
import type { Graph, Value } from '../graph/graph.ts';
import type { Precision } from '../graph/types.ts';
import { add } from '../ops/add.ts';
import { cast } from '../ops/cast.ts';
import { concat } from '../ops/concat.ts';
import { dropoutMask } from '../ops/dropout_mask.ts';
import { literal } from '../ops/elementwise.ts';
import { matmul } from '../ops/matmul.ts';
import { mul } from '../ops/mul.ts';
import { split } from '../ops/split.ts';
import { foldKey } from '../shared/random.ts';

/** LoRA as peft means it; `modules` are full module names, already matched against the model. */
export interface LoraSpec {
  readonly r: number;
  readonly alpha: number;
  readonly rslora: boolean;
  readonly modules: ReadonlySet<string>;
}

export interface ScopeOptions {
  /** what is computed in, and what the weights that do not train are stored in; those that train are float32 */
  readonly precision?: Precision;
  /** weights that train, beside all of LoRA's */
  readonly trained?: ReadonlySet<string>;
  readonly lora?: LoraSpec | null;
  /** Dropout on the LoRA inputs; tick is the i32 [] counter of micro-batches. */
  readonly dropout?: { readonly p: number; readonly seed: number; readonly tick: Value } | null;
}

/** One linear layer: weight [out, in], bias [out] or none. */
export interface LinearSpec {
  readonly name: string;
  readonly out: number;
  readonly bias: boolean;
}

export const loraScale = ({ r, alpha, rslora }: LoraSpec): number => alpha / (rslora ? Math.sqrt(r) : r);
export const loraA = (module: string): string => `${module}.lora_A.weight`;
export const loraB = (module: string): string => `${module}.lora_B.weight`;
const isLora = (name: string): boolean => /\.lora_[AB]\.weight$/.test(name);

export class Scope {
  readonly compute: Precision;
  constructor(
    readonly graph: Graph,
    readonly options: ScopeOptions = {},
  ) {
    this.compute = options.precision ?? 'f32';
  }

  /** A weight by its published name, in the compute dtype. */
  weight(name: string, shape: readonly number[]): Value {
    const stored = this.options.trained?.has(name) || isLora(name) ? 'f32' : this.compute;
    return cast(this.graph.state(name, shape, stored), this.compute);
  }

  linear(x: Value, spec: LinearSpec): Value {
    return this.linears(x, [spec])[0] as Value;
  }

  /** Several linear layers of one input x [T, in] → [T, out] each. */
  linears(x: Value, specs: readonly LinearSpec[]): Value[] {
    const width = x.shape[1] as number;
    const deltas = this.loraDeltas(x, specs);
    return specs.map(({ name, out, bias }) => {
      let y = matmul(x, this.weight(`${name}.weight`, [out, width]), { transB: true });
      if (bias) y = add(y, this.weight(`${name}.bias`, [out]));
      const delta = deltas.get(name);
      return delta ? add(y, delta) : y;
    });
  }

  private loraDeltas(x: Value, specs: readonly LinearSpec[]): Map<string, Value> {
    const deltas = new Map<string, Value>();
    const { lora, dropout } = this.options;
    const hit = lora ? specs.filter((spec) => lora.modules.has(spec.name)) : [];
    if (!lora || hit.length === 0) return deltas;
    const width = x.shape[1] as number;
    const key = dropout ? foldKey(dropout.seed, ...Array.from(hit[0]!.name, (c) => c.charCodeAt(0))) : 0;
    const dropped = dropout?.p
      ? mul(x, cast(dropoutMask(dropout.tick, { shape: x.shape, p: dropout.p, key }), x.dtype))
      : x;
    const a = concat(
      hit.map(({ name }) => this.weight(loraA(name), [lora.r, width])),
      0,
    );
    const inner = mul(matmul(dropped, a, { transB: true }), literal(x, loraScale(lora))); // [T, r·layers]
    const parts = split(
      inner,
      1,
      hit.map(() => lora.r),
    );
    hit.forEach(({ name, out }, i) => {
      deltas.set(name, matmul(parts[i]!, this.weight(loraB(name), [out, lora.r]), { transB: true }));
    });
    return deltas;
  }
}
