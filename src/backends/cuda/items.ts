// The program as the CUDA backend sees it: the live nodes as items, rewritten so that few kernels do the work. Sums of
// products become one item that accumulates (with bias, scale and a float32 result where a cast asks for it), literals
// are folded, and products by one vanish.
import { type Graph, type Node, type OpDef, Value } from '../../graph/graph.ts';
import { sameShape, sizeOf, type TensorType } from '../../graph/types.ts';
import type { OpName } from '../../ops/index.ts';
import { liveNodes } from '../../passes/live.ts';
import type { Item } from './item.ts';
import { isPointwise } from './pointwise.ts';

/** Inputs of a matmul_sum: a and b of every term, then the bias and c where there are any. */
export type MatmulSumAttrs = {
  readonly transA: readonly number[];
  readonly transB: readonly number[];
  readonly alpha: readonly number[];
  readonly bias: boolean;
  readonly accumulate: boolean;
};

let synthetic = 0;

/** A value that no node of the graph makes. */
export function freshValue(graph: Graph, type: TensorType): Value {
  const node = { op: { name: 'synthetic' } as OpDef, attrs: {}, inputs: [], outputs: [] } as Node;
  return new Value(graph, --synthetic, type, { kind: 'node', node, index: 0 });
}

/** The number that a value holds everywhere, when it is known now. */
export function literalOf(value: Value): number | null {
  const { origin } = value;
  if (origin.kind === 'constant') return sizeOf(value.shape) === 1 ? (origin.data[0] as number) : null;
  if (origin.kind !== 'node') return null;
  const { op, inputs } = origin.node;
  return op.name === 'cast' || op.name === 'reshape' || op.name === 'broadcast_to' ? literalOf(inputs[0]!) : null;
}

/** The items of a program, in an order in which they can run. */
export function itemsOf(graph: Graph): readonly Item[] {
  const items = liveNodes(graph)
    .filter(({ outputs }) => outputs.some((out) => literalOf(out) === null))
    .map(({ op, attrs, inputs, outputs }) => ({ op: op.name as OpName, attrs, inputs, outputs }));
  return new Rewriter(graph, items).run();
}

/** How often each value is read; what leaves the program counts as read twice, so that it is always made. */
function countUses(graph: Graph, items: readonly Item[]): Map<Value, number> {
  const uses = new Map<Value, number>();
  const use = (value: Value, times: number) => uses.set(value, (uses.get(value) ?? 0) + times);
  for (const { inputs } of items) for (const input of inputs) use(input, 1);
  for (const value of graph.outputs.values()) use(value, 2);
  for (const { value, start } of graph.writes) {
    use(value, 2);
    if (start) use(start, 2);
  }
  return uses;
}

interface Product {
  readonly item: Item;
  readonly alpha: number;
}

interface Sum {
  readonly products: Product[];
  readonly biases: Value[];
  readonly rest: Value[];
  /** items that the sum stands in for */
  readonly absorbed: Item[];
}

class Rewriter {
  private readonly makers = new Map<Value, Item>();
  private readonly consumers = new Map<Value, Item[]>();
  private readonly uses: Map<Value, number>;
  private readonly gone = new Set<Item>();
  private readonly replacements = new Map<Item, Item[]>();

  constructor(
    private readonly graph: Graph,
    private readonly items: Item[],
  ) {
    this.uses = countUses(graph, items);
    for (const item of items) {
      for (const out of item.outputs) this.makers.set(out, item);
      for (const input of item.inputs) {
        const list = this.consumers.get(input);
        if (list) list.push(item);
        else this.consumers.set(input, [item]);
      }
    }
  }

  run(): readonly Item[] {
    for (const item of this.items.slice().reverse())
      if (item.op === 'add' && !this.gone.has(item)) this.rewriteSum(item);
    for (const item of this.items) if (item.op === 'matmul' && !this.gone.has(item)) this.rewriteProduct(item);
    const rewritten = this.items.flatMap((item) =>
      this.gone.has(item) ? [] : (this.replacements.get(item) ?? [item]),
    );
    return this.widen(rewritten);
  }

  private once(value: Value): boolean {
    return this.uses.get(value) === 1;
  }

  private product(value: Value): Product | null {
    const item = this.makers.get(value);
    if (!item || !this.once(value) || this.gone.has(item)) return null;
    if (item.op === 'matmul') return { item, alpha: 1 };
    if (item.op !== 'mul') return null;
    for (const [x, factor] of [item.inputs, item.inputs.slice().reverse()] as [Value, Value][]) {
      const alpha = literalOf(factor!);
      const inner = alpha !== null && x && this.makers.get(x);
      if (inner && inner.op === 'matmul' && this.once(x) && sameShape(x.shape, value.shape))
        return { item: inner, alpha };
    }
    return null;
  }

  private collect(value: Value, root: Value, sum: Sum): void {
    const product = this.product(value);
    const maker = this.makers.get(value);
    if (product && sameShape(value.shape, root.shape)) {
      sum.products.push(product);
      sum.absorbed.push(product.item);
      if (maker && maker !== product.item) sum.absorbed.push(maker);
      return;
    }
    const inner = maker?.op === 'add' && value.dtype === root.dtype && sameShape(value.shape, root.shape);
    if (inner && (value === root || this.once(value)) && !this.gone.has(maker)) {
      sum.absorbed.push(maker);
      for (const input of maker.inputs) this.collect(input, root, sum);
      return;
    }
    const columns = root.shape.at(-1);
    if (!sameShape(value.shape, root.shape) && value.shape.length === 1 && value.shape[0] === columns)
      sum.biases.push(value);
    else sum.rest.push(value);
  }

  private rewriteSum(root: Item): void {
    const out = root.outputs[0]!;
    const sum: Sum = { products: [], biases: [], rest: [], absorbed: [] };
    this.collect(out, out, sum);
    const { products, biases, rest } = sum;
    const plain = rest.every((value) => sameShape(value.shape, out.shape)) && literalsNone(rest);
    if (products.length === 0 || biases.length > 1 || !plain || out.shape.length < 2) return;
    // A cuBLASLt bias has the result's type, and is added once.
    if (biases.some((bias) => bias.dtype !== out.dtype || literalOf(bias) !== null)) return;
    const [addend] = rest;
    const intoPointwise =
      addend !== undefined &&
      this.once(addend) &&
      isPointwise(this.makers.get(addend)?.op ?? 'copy') &&
      (this.uses.get(out) ?? 0) === (this.consumers.get(out)?.length ?? 0) &&
      (this.consumers.get(out) ?? []).every(({ op }) => isPointwise(op));
    for (const item of sum.absorbed) this.gone.add(item);
    this.gone.delete(root);
    if (rest.length === 0 || (rest.length === 1 && !intoPointwise)) {
      this.replacements.set(root, [matmulSum(products, biases[0], addend, out)]);
      return;
    }
    // Several addends, or one that a kernel beside this one makes: the products go into one value, which is then added.
    const made: Item[] = [];
    let value = freshValue(this.graph, out.type);
    made.push(matmulSum(products, biases[0], undefined, value));
    rest.forEach((term, i) => {
      const next = i === rest.length - 1 ? out : freshValue(this.graph, out.type);
      made.push({ op: 'add', attrs: {}, inputs: [value, term], outputs: [next] });
      value = next;
    });
    this.replacements.set(root, made);
  }

  private rewriteProduct(item: Item): void {
    // A product that is scaled takes the scale with it.
    const out = item.outputs[0]!;
    const consumer = this.once(out) ? this.consumers.get(out)?.[0] : undefined;
    const alpha = consumer?.op === 'mul' ? this.scaleOf(consumer, out) : null;
    if (consumer && alpha !== null) {
      this.gone.add(item);
      this.replacements.set(consumer, [matmulSum([{ item, alpha }], undefined, undefined, consumer.outputs[0]!)]);
    } else this.replacements.set(item, [matmulSum([{ item, alpha: 1 }], undefined, undefined, out)]);
  }

  private scaleOf(consumer: Item, product: Value): number | null {
    if (!sameShape(consumer.outputs[0]!.shape, product.shape)) return null;
    const other = consumer.inputs[0] === product ? consumer.inputs[1]! : consumer.inputs[0]!;
    return literalOf(other);
  }

  /** A product that is only cast to float32, as a whole or in slices, is made in float32. */
  private widen(items: readonly Item[]): readonly Item[] {
    const uses = countUses(this.graph, items);
    const readers = new Map<Value, Item[]>();
    for (const item of items)
      for (const input of item.inputs) readers.set(input, [...(readers.get(input) ?? []), item]);
    /** The cast to float32 that alone reads a value. */
    const castOf = (value: Value): Item | null => {
      const [reader] = readers.get(value) ?? [];
      return uses.get(value) === 1 && reader?.op === 'cast' && reader.outputs[0]!.dtype === 'f32' ? reader : null;
    };
    const replaced = new Map<Item, Item | null>();
    for (const item of items) {
      const [out] = item.outputs as [Value];
      const { bias, accumulate } = item.attrs as unknown as MatmulSumAttrs;
      if (item.op !== 'matmul_sum' || bias || accumulate || (out.dtype !== 'bf16' && out.dtype !== 'f16')) continue;
      const cast = castOf(out);
      const slices = readers.get(out) ?? [];
      const whole =
        uses.get(out) === slices.length && slices.every(({ op, outputs }) => op === 'slice' && castOf(outputs[0]!));
      if (cast) {
        replaced.set(item, { ...item, outputs: cast.outputs });
        replaced.set(cast, null);
      } else if (slices.length > 0 && whole) {
        const wide = freshValue(this.graph, { ...out.type, dtype: 'f32' });
        replaced.set(item, { ...item, outputs: [wide] });
        for (const slice of slices) {
          const narrow = castOf(slice.outputs[0]!)!;
          replaced.set(slice, { ...slice, inputs: [wide], outputs: narrow.outputs });
          replaced.set(narrow, null);
        }
      }
    }
    return items.flatMap((item) => {
      const found = replaced.get(item);
      return found === null ? [] : [found ?? item];
    });
  }
}

const literalsNone = (values: readonly Value[]): boolean => values.every((value) => literalOf(value) === null);

function matmulSum(products: readonly Product[], bias: Value | undefined, addend: Value | undefined, out: Value): Item {
  const flags = (name: 'transA' | 'transB') =>
    products.map(({ item }) => ((item.attrs as { transA: boolean; transB: boolean })[name] ? 1 : 0));
  return {
    op: 'matmul_sum',
    attrs: {
      transA: flags('transA'),
      transB: flags('transB'),
      alpha: products.map(({ alpha }) => alpha),
      bias: bias !== undefined,
      accumulate: addend !== undefined,
    },
    inputs: [...products.flatMap(({ item }) => item.inputs), ...(bias ? [bias] : []), ...(addend ? [addend] : [])],
    outputs: [out],
  };
}
