// The program as a graph in SSA form: values, nodes and the builder that traces them. It names no op.
// Every op is pure, so equal nodes are built once (hash consing). Reads of a state see its value from before the
// program; all writes take effect together at its end.
import { type DType, type HostArray, sameShape, sizeOf, type TensorType, typeName } from './types.ts';

export type Attr = number | string | boolean | null | readonly number[];
export type Attrs = { readonly [name: string]: Attr };

/** What an op must provide; one file in src/ops holds one of these. */
export interface OpDef<A extends Attrs = Attrs> {
  readonly name: string;
  /** Output types, or an error that says what was expected and what came. */
  infer(inputs: readonly TensorType[], attrs: A): TensorType[];
  /**
   * Gradients of the inputs (null where there is none), as other ops. Gradients are of first order: an op that only
   * gradients are made of has none itself, so that imports between ops make no circle.
   */
  vjp?(call: VjpCall<A>): (Value | null)[];
  /** The op in terms of others, for backends without a kernel of their own. */
  decompose?(inputs: readonly Value[], attrs: A): Value[];
  /** Floating-point operations of one call; elementwise ops count one a result. */
  flops?(inputs: readonly TensorType[], outputs: readonly TensorType[], attrs: A): number;
  /** Takes u8 inputs, which the verifier refuses of other ops. */
  readonly readsBytes?: true;
  /** Inputs for the conformance suite, the odd ones included. */
  readonly samples: readonly Sample<A>[];
}

export interface VjpCall<A extends Attrs = Attrs> {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly attrs: A;
  /** Gradient of each output, null where nothing reached it. */
  readonly grads: readonly (Value | null)[];
  /** Which inputs want a gradient. */
  readonly needs: readonly boolean[];
}

/** One input set: arrays of numbers, or 'normal' / 'positive' for seeded random floats. */
export interface Sample<A extends Attrs = Attrs> {
  readonly inputs: readonly SampleInput[];
  readonly attrs: A;
  /** Inputs whose gradient is not checked (integers never are). */
  readonly noGrad?: readonly number[];
}
export interface SampleInput extends TensorType {
  /** Stays f32 where the suite runs the sample in bf16 or f16, as the op's own statistics, losses and moments do. */
  readonly wide?: true;
  readonly data: readonly number[] | 'normal' | 'positive';
}

export type Origin =
  | { readonly kind: 'input' | 'state'; readonly name: string }
  | { readonly kind: 'constant'; readonly data: HostArray }
  | { readonly kind: 'node'; readonly node: Node; readonly index: number };

export class Value {
  constructor(
    readonly graph: Graph,
    readonly id: number,
    readonly type: TensorType,
    readonly origin: Origin,
  ) {}
  get shape(): readonly number[] {
    return this.type.shape;
  }
  get dtype(): DType {
    return this.type.dtype;
  }
  toString(): string {
    return `%${this.id}: ${typeName(this.type)}`;
  }
}

export interface Node {
  readonly op: OpDef;
  readonly attrs: Attrs;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
}

/** A write at the end of the program: the whole state, or rows `start[b]…` of axis 2 of a [B, heads, L, d] state. */
export interface Write {
  readonly state: Value;
  readonly value: Value;
  readonly start: Value | null;
}

export class Graph {
  readonly inputs = new Map<string, Value>();
  readonly states = new Map<string, Value>();
  readonly outputs = new Map<string, Value>();
  readonly writes: Write[] = [];
  readonly nodes: Node[] = [];
  /** What each layer of a model reads, and how many nodes stood before it: see passes/recompute.ts. */
  readonly checkpoints: { readonly value: Value; readonly at: number }[] = [];
  private readonly known = new Map<string, readonly Value[]>();
  private count = 0;

  /** @param decomposed names of ops to build from their decomposition, as the backend at hand asks for */
  constructor(readonly decomposed: ReadonlySet<string> = new Set()) {}

  private value(type: TensorType, origin: Origin): Value {
    return new Value(this, this.count++, type, origin);
  }

  private named(table: Map<string, Value>, kind: 'input' | 'state', name: string, type: TensorType): Value {
    const found = table.get(name);
    if (!found) {
      const value = this.value(type, { kind, name });
      table.set(name, value);
      return value;
    }
    if (typeName(found.type) !== typeName(type))
      throw new Error(`${kind} '${name}' is ${typeName(found.type)} and was asked for as ${typeName(type)}`);
    return found;
  }

  /** A batch tensor, given at every call. */
  input(name: string, shape: readonly number[], dtype: DType): Value {
    return this.named(this.inputs, 'input', name, { dtype, shape });
  }

  /** A named mutable tensor that lives in the backend between calls. */
  state(name: string, shape: readonly number[], dtype: DType): Value {
    return this.named(this.states, 'state', name, { dtype, shape });
  }

  /** A literal tensor. */
  constant(data: HostArray, shape: readonly number[], dtype: DType): Value {
    if (data.length !== sizeOf(shape)) throw new Error(`constant: ${data.length} elements for [${shape.join(',')}]`);
    const key = data.length <= 64 ? `const ${dtype} ${shape.join(',')} ${data.join(',')}` : '';
    const found = key && this.known.get(key);
    if (found) return found[0] as Value;
    const value = this.value({ dtype, shape }, { kind: 'constant', data });
    if (key) this.known.set(key, [value]);
    return value;
  }

  /** A 0-d literal. */
  scalar(value: number, dtype: 'f32' | 'i32' = 'f32'): Value {
    return this.constant(dtype === 'f32' ? Float32Array.of(value) : Int32Array.of(value), [], dtype);
  }

  /** Marks where a layer begins, and what it reads; it changes no result. */
  checkpoint(value: Value): void {
    this.checkpoints.push({ value, at: this.nodes.length });
  }

  /**
   * Adds a call of an op (or finds the equal one) and returns its outputs.
   * @param again a call that stands beside the equal one, so that the same values are made a second time
   */
  apply<A extends Attrs>(op: OpDef<A>, inputs: readonly Value[], attrs: A, again = false): readonly Value[] {
    const key = `${op.name} ${inputs.map((v) => v.id).join(',')} ${JSON.stringify(attrs)}${again ? ' again' : ''}`;
    const found = this.known.get(key);
    if (found) return found;
    for (const input of inputs) if (input.graph !== this) throw new Error(`${op.name}: an input of another graph`);
    let types: TensorType[];
    const shown = inputs.map((v) => typeName(v.type)).join(', ');
    try {
      types = op.infer(
        inputs.map((v) => v.type),
        attrs,
      );
    } catch (error) {
      throw new Error(`${op.name}(${shown}): ${(error as Error).message}`);
    }
    let outputs: readonly Value[];
    if (op.decompose && this.decomposed.has(op.name)) {
      outputs = op.decompose(inputs, attrs);
      outputs.forEach((out, i) => {
        if (typeName(out.type) !== typeName(types[i] as TensorType))
          throw new Error(
            `${op.name}(${shown}): its decomposition gives ${out} where it infers ${typeName(types[i] as TensorType)}`,
          );
      });
    } else {
      const made: Value[] = [];
      const node: Node = { op: op as unknown as OpDef, attrs, inputs, outputs: made };
      types.forEach((type, index) => {
        made.push(this.value(type, { kind: 'node', node, index }));
      });
      this.nodes.push(node);
      outputs = made;
    }
    this.known.set(key, outputs);
    return outputs;
  }

  /** Returns a value to the caller under a name. */
  output(name: string, value: Value): void {
    if (this.outputs.has(name)) throw new Error(`output '${name}' is given twice`);
    this.outputs.set(name, value);
  }

  /** Replaces a state at the end of the program. */
  assign(state: Value, value: Value): void {
    this.write({ state, value, start: null }, state.type);
  }

  /** Writes value [B, heads, n, d] into a state [B, heads, L, d] at rows start[b] … start[b]+n-1 (start: i32 [B]). */
  assignRows(state: Value, start: Value, value: Value): void {
    const [batch, heads, , width] = state.shape;
    const shape = [batch as number, heads as number, value.shape[2] as number, width as number];
    this.write({ state, value, start }, { dtype: state.dtype, shape });
  }

  private write(write: Write, expected: TensorType): void {
    const { state, value } = write;
    if (state.origin.kind !== 'state') throw new Error(`assign: ${state} is not a state`);
    if (!sameShape(value.shape, expected.shape) || value.dtype !== expected.dtype)
      throw new Error(`assign to '${state.origin.name}': expected ${typeName(expected)}, got ${value}`);
    if (this.writes.some((w) => w.state === state)) throw new Error(`state '${state.origin.name}' is assigned twice`);
    this.writes.push(write);
  }
}

/** Adds a call of an op with one output to the graph of its first input. */
export function call<A extends Attrs>(op: OpDef<A>, inputs: readonly Value[], attrs: A): Value {
  return (inputs[0] as Value).graph.apply(op, inputs, attrs)[0] as Value;
}
