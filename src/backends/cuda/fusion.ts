// Fuses what a decoding step does to few rows: products of the same rows are one launch, which takes the RMS norm before
// them and SwiGLU behind them along; rotation and the write into the cache go into attention. A layer is five launches.
import type { Graph, Value } from '../../graph/graph.ts';
import { sizeOf } from '../../graph/types.ts';
import { canTurn } from './attention.ts';
import type { Item } from './item.ts';
import type { MatmulSumAttrs } from './items.ts';
import { isAligned, type Layout, readersOf } from './layout.ts';
import { canGate, canNorm, type FewRowsAttrs, isFewRows, MOST_PRODUCTS } from './lower/few_rows.ts';
import { readsInPlace } from './units.ts';
import { isContiguous, type View } from './view.ts';

export function fuseDecoding(graph: Graph, layout: Layout): Layout {
  return new Fusion(graph, layout).run();
}

/** As a kernel reads it that knows no strides. */
const isPlain = (view: View): boolean => isContiguous(view) && isAligned(view);

class Fusion {
  private readonly makers = new Map<Value, Item>();
  private readonly written: ReadonlySet<Value>;
  /** what stands in the place of an item; nothing where another has taken it along */
  private readonly replacements = new Map<Item, readonly Item[]>();
  private writes: Layout['writes'];

  constructor(
    graph: Graph,
    private readonly layout: Layout,
  ) {
    this.written = new Set(graph.writes.map(({ state }) => state));
    this.writes = layout.writes;
    for (const item of layout.items) for (const out of item.outputs) this.makers.set(out, item);
  }

  run(): Layout {
    const { layout } = this;
    for (const group of this.productGroups()) this.fuseProducts(group);
    for (const item of layout.items) if (item.op === 'cached_attention') this.fuseRotation(item);
    const items = layout.items.flatMap((item) => this.replacements.get(item) ?? [item]);
    const changed = { ...layout, items, writes: this.writes };
    return { ...changed, readers: readersOf(changed) };
  }

  private view(value: Value): View {
    return this.layout.viewOf(value);
  }

  private readersOf(value: Value): readonly (Item | null)[] {
    return this.layout.readers.get(value) ?? [];
  }

  /** States that are there before the program and as they were until it ends, so that a launch may come early. */
  private isLasting(value: Value | undefined): boolean {
    if (!value) return true;
    const { root } = this.view(value);
    return root.origin.kind === 'state' && !this.written.has(root);
  }

  /** Single products of few rows; those of the same rows with lasting weights are together. */
  private productGroups(): Item[][] {
    const groups = new Map<string, Item[]>();
    const all: Item[][] = [];
    for (const item of this.layout.items) {
      if (item.op !== 'matmul_sum') continue;
      const { alpha, transA, transB, bias, accumulate } = item.attrs as unknown as MatmulSumAttrs;
      const [x, w] = item.inputs as [Value, Value];
      const [out] = item.outputs as [Value];
      const single = alpha.length === 1 && transA[0] === 0 && transB[0] === 1;
      if (!single || sizeOf(out.shape) === 0 || !isFewRows(this.view(x), this.view(w), out)) continue;
      const joins = !accumulate && this.isLasting(w) && (!bias || this.isLasting(item.inputs[2]));
      const key = `${x.id} ${out.dtype} ${alpha[0]}`;
      const group = joins ? groups.get(key) : undefined;
      if (group && group.length < MOST_PRODUCTS) {
        group.push(item);
        continue;
      }
      const begun = [item];
      all.push(begun);
      if (joins) groups.set(key, begun);
    }
    return all;
  }

  private fuseProducts(products: readonly Item[]): void {
    const [first] = products as [Item];
    const attrs = products.map((item) => item.attrs as unknown as MatmulSumAttrs);
    const norm = this.normBefore(products);
    const gate = this.gateBehind(products);
    const ordered = gate ? gate.inputs.map((value) => this.makers.get(this.view(value).root)!) : products;
    const [{ alpha, accumulate }] = attrs as [MatmulSumAttrs];
    const fused: FewRowsAttrs = {
      alpha: alpha[0]!,
      eps: norm ? (norm.attrs.eps as number) : null,
      gated: gate !== null,
      biases: attrs.map(({ bias }) => (bias ? 1 : 0)),
      accumulate,
      states: products.every(
        (item) => this.isLasting(item.inputs[1]) && (!attrs[0]!.bias || this.isLasting(item.inputs[2])),
      ),
    };
    const weights = ordered.flatMap((item, n) => item.inputs.slice(1, fused.biases[n] ? 3 : 2));
    const inputs = [
      ...(norm ? norm.inputs : [first.inputs[0]!]),
      ...weights,
      ...(accumulate ? [first.inputs.at(-1)!] : []),
    ];
    for (const item of [...products, ...(norm ? [norm] : []), ...(gate ? [gate] : [])]) this.replacements.set(item, []);
    const outputs = gate ? gate.outputs : products.map(({ outputs: [out] }) => out!);
    this.replacements.set(first, [{ op: 'few_rows', attrs: fused, inputs, outputs }]);
  }

  /** The norm that only these products read. */
  private normBefore(products: readonly Item[]): Item | null {
    const view = this.view(products[0]!.inputs[0]!);
    const norm = this.makers.get(view.root);
    if (norm?.op !== 'rms_norm' || !canNorm(view) || !readsInPlace(view, sizeOf(view.root.shape))) return null;
    const [x, weight] = norm.inputs as [Value, Value];
    const [out, deviation] = norm.outputs as [Value, Value];
    const alone = this.readersOf(out).every((reader) => reader && products.includes(reader));
    const plain = isPlain(this.view(x)) && isPlain(this.view(weight)) && this.isLasting(weight);
    const lasting = products.every((item) => this.isLasting(item.inputs[1]));
    return alone && plain && lasting && weight.dtype === 'bf16' && this.readersOf(deviation).length === 0 ? norm : null;
  }

  /** The SwiGLU that alone reads these two products. */
  private gateBehind(products: readonly Item[]): Item | null {
    if (products.length !== 2 || !canGate(this.view(products[0]!.inputs[0]!))) return null;
    const [gate] = this.readersOf(products[0]!.outputs[0]!);
    if (gate?.op !== 'swiglu' || products.some(({ attrs }) => attrs.bias)) return null;
    const size = sizeOf(gate.outputs[0]!.shape);
    const roots = gate.inputs.map((value) => (readsInPlace(this.view(value), size) ? this.view(value).root : null));
    const both = products.every(({ outputs: [out] }) => {
      const readers = this.readersOf(out!);
      return readers.length === 1 && readers[0] === gate && roots.includes(out!);
    });
    return both && gate.outputs[0]!.dtype === products[0]!.outputs[0]!.dtype ? gate : null;
  }

  private fuseRotation(item: Item): void {
    const [q, kNew, vNew, kCache, vCache, lengths] = item.inputs as [Value, Value, Value, Value, Value, Value];
    const { width, dtype } = { width: q.shape[2]!, dtype: q.dtype };
    const [turnQ, turnK] = [q, kNew].map((value) => this.rotationOf(value, item)) as [Item | null, Item | null];
    if (!turnQ || !turnK || !canTurn({ dtype, width })) return;
    const [, cos, sin] = turnQ.inputs as [Value, Value, Value];
    if (turnK.inputs[1] !== cos || turnK.inputs[2] !== sin || cos.dtype !== 'f32' || sin.dtype !== 'f32') return;
    const caches = [kCache, vCache].map((cache) => this.view(cache).root);
    const fresh = [kNew, vNew].map((value) => this.view(value).root);
    const writes = caches.map((cache, n) =>
      this.writes.find(({ state, value, start }) => {
        const rows = this.view(value);
        const same = rows.root === fresh[n] && readsInPlace(rows, sizeOf(fresh[n]!.shape));
        return state === cache && same && start !== null && this.view(start).root === this.view(lengths).root;
      }),
    );
    const own = caches.every(
      (cache) => cache.dtype === dtype && this.readersOf(cache).every((reader) => reader === item),
    );
    // The turned keys are read here and written, and by nobody else.
    const once = this.readersOf(fresh[0]!).length === 2 && caches[0] !== caches[1];
    if (!own || !once || writes.some((write) => !write)) return;
    this.replacements.set(turnQ, []);
    this.replacements.set(turnK, []);
    const inputs = [turnQ.inputs[0]!, turnK.inputs[0]!, vNew, kCache, vCache, lengths, cos, sin];
    this.replacements.set(item, [{ ...item, op: 'turning_attention', inputs }]);
    this.writes = this.writes.filter((write) => !writes.includes(write));
  }

  /** The rotation that made all of a value, which only this item and perhaps a write read. */
  private rotationOf(value: Value, reader: Item): Item | null {
    const view = this.view(value);
    const turn = this.makers.get(view.root);
    if (turn?.op !== 'rope' || turn.attrs.inverse || !readsInPlace(view, sizeOf(view.root.shape))) return null;
    const alone = this.readersOf(view.root).every((other) => other === reader || other === null);
    return alone && isPlain(this.view(turn.inputs[0]!)) ? turn : null;
  }
}
