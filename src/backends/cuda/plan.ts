// The program as an ordered list of steps, and where each value lies: in a state that it is written to, inside a value
// that it is joined into, or in the arena, where values share bytes when their lifetimes do not meet.
import type { Graph, Value } from '../../graph/graph.ts';
import { bytesOf, sizeOf, typeName } from '../../graph/types.ts';
import { align, placeAll } from '../../passes/memory_plan.ts';
import { fuseDecoding } from './fusion.ts';
import type { Item } from './item.ts';
import { itemsOf } from './items.ts';
import { kernel } from './kernels.ts';
import { type Layout, layOut } from './layout.ts';
import { type AdamwAttrs, adamwAll, narrowAll } from './lower/optimizer.ts';
import { lowerUnit } from './lowering.ts';
import { C_TYPE } from './pointwise.ts';
import { remakeMasks } from './remake.ts';
import { shareSpans } from './spans.ts';
import { ceil, type Enqueuer, i, p, type Step } from './step.ts';
import { readsInPlace, type Unit, unitsOf } from './units.ts';

/** A value that lies in another's bytes. */
export interface Home {
  readonly root: Value;
  /** in elements */
  readonly offset: number;
  /** elements between its rows, when that is not its width */
  readonly rowStride: number | null;
}

export interface Plan {
  readonly layout: Layout;
  readonly steps: readonly Step[];
  readonly homes: ReadonlyMap<Value, Home>;
  /** offset in the arena, in bytes, of each root that lies there */
  readonly places: ReadonlyMap<Value, number>;
  /** offset of each step's scratch */
  readonly scratch: readonly number[];
  readonly arenaBytes: number;
}

export function planProgram(graph: Graph): Plan {
  const items = remakeMasks(graph, itemsOf(graph));
  const layout = fuseDecoding(graph, shareSpans(graph, layOut(graph, items)));
  const units = unitsOf(layout.items, layout.viewOf);
  const isRead = (value: Value) => layout.readers.has(value);
  const steps = joinAlike(units, layout).map((group) => lowerGroupOf(group, layout, isRead));
  const homes = new Map<Value, Home>();
  const made = new Map<Value, number>();
  steps.forEach((step, n) => {
    for (const value of step.writes) made.set(value, n);
  });
  placeInConcats(layout, made, homes);
  const copies = writeToStates(layout, steps, made, homes);
  const all = [...steps, ...copies];
  return { layout, steps: all, homes, ...placeInArena(all, layout, homes) };
}

/**
 * Units that do the same to many tensors become one: AdamW updates that share their scalars, casts of whole states.
 */
function joinAlike(units: readonly Unit[], { viewOf }: Layout): Unit[][] {
  const groups = new Map<string, Unit[]>();
  const out: Unit[][] = [];
  for (const unit of units) {
    const [item] = unit.items as [Item];
    let key = '';
    if (item.op === 'adamw') key = `adamw ${JSON.stringify(item.attrs)} ${item.inputs.slice(4).map(({ id }) => id)}`;
    else if (unit.items.length === 1 && item.op === 'cast' && item.outputs[0]!.dtype === 'bf16') {
      const view = viewOf(item.inputs[0]!);
      if (view.root.origin.kind === 'state' && view.root.dtype === 'f32' && readsInPlace(view, unit.size))
        key = 'narrow';
    }
    const known = key === '' ? undefined : groups.get(key);
    if (known) known.push(unit);
    else {
      const group = [unit];
      out.push(group);
      if (key !== '') groups.set(key, group);
    }
  }
  // Updates wait for the last of them; casts are done before anyone reads one.
  const place = new Map(units.map((unit, n) => [unit, n]));
  const when = (group: Unit[]): number => place.get(group[0]!.items[0]!.op === 'adamw' ? group.at(-1)! : group[0]!)!;
  return out.sort((a, b) => when(a) - when(b));
}

function lowerGroupOf(group: readonly Unit[], layout: Layout, isRead: (value: Value) => boolean): Step {
  const [unit] = group as [Unit];
  const items = group.map(({ items: [item] }) => item!);
  if (group.length === 1) return lowerUnit(unit, layout, isRead);
  const views = items.map((item) => item.inputs.map((input) => layout.viewOf(input)));
  const label = `${items[0]!.op} of ${items.length} tensors`;
  const common = { label, reads: views.flat(), writes: items.flatMap(({ outputs }) => outputs) };
  if (items[0]!.op === 'adamw') {
    const updates = items.map(({ outputs }, n) => ({ inputs: views[n]!, outputs }));
    return { ...common, ...adamwAll(items[0]!.attrs as AdamwAttrs, updates) };
  }
  return { ...common, ...narrowAll(items.map(({ outputs }, n) => ({ from: views[n]![0]!, to: outputs[0]! }))) };
}

/** What only a concatenation reads is made where it will lie. */
function placeInConcats(layout: Layout, made: ReadonlyMap<Value, number>, homes: Map<Value, Home>): void {
  for (const item of layout.items) {
    if (item.op !== 'concat') continue;
    const out = item.outputs[0]!;
    const axis = (item.attrs as { axis: number }).axis;
    const inner = sizeOf(out.shape.slice(axis + 1));
    const contiguous = sizeOf(out.shape.slice(0, axis)) === 1;
    let at = 0;
    for (const input of item.inputs) {
      const view = layout.viewOf(input);
      const { root } = view;
      const offset = at * inner;
      at += input.shape[axis]!;
      const alone = layout.readers.get(root)?.length === 1 && readsInPlace(view, sizeOf(root.shape));
      const bytes = bytesOf({ dtype: out.dtype, shape: [offset] });
      if (!alone || !made.has(root) || homes.has(root) || bytes % 16 !== 0) continue;
      if (contiguous) homes.set(root, { root: out, offset, rowStride: null });
      else if (isProduct(layout, root) && axis === 1 && out.shape.length === 2 && root.shape.length === 2)
        homes.set(root, { root: out, offset, rowStride: out.shape[1]! });
    }
  }
}

const isProduct = (layout: Layout, root: Value): boolean =>
  layout.items.some((item) => item.op === 'matmul_sum' && item.outputs[0] === root);

/**
 * A value that replaces a state is made in the state's own bytes where nobody reads the old ones later; other writes are
 * copies at the end of the program, which are returned.
 */
function writeToStates(
  layout: Layout,
  steps: readonly Step[],
  made: ReadonlyMap<Value, number>,
  homes: Map<Value, Home>,
): Step[] {
  const lastRead = new Map<Value, number>();
  steps.forEach((step, n) => {
    for (const { root } of step.reads) lastRead.set(root, n);
  });
  // Rows are written at the end, and read what they write and where to before any state that is copied changes.
  const rows: RowWrite[] = [];
  const copies: Step[] = [];
  const readAtEnd = new Set(
    layout.writes.flatMap(({ value, start }) => (start ? [value, start].map((read) => layout.viewOf(read).root) : [])),
  );
  for (const { state, value, start } of layout.writes) {
    const view = layout.viewOf(value);
    const maker = made.get(view.root);
    const name = (state.origin as { name: string }).name;
    if (start) {
      rows.push({ state, value, start });
      continue;
    }
    const whole =
      readsInPlace(view, sizeOf(state.shape)) && !homes.has(view.root) && maker !== undefined && !readAtEnd.has(state);
    const step = whole ? steps[maker]! : null;
    const readLast = lastRead.get(state) ?? -1;
    const elementwise = step?.reads.every((read) => read.root !== state || readsInPlace(read, sizeOf(state.shape)));
    const safe =
      step !== null && (readLast < maker! || (readLast === maker && elementwise && step.elementwise === true));
    if (safe) homes.set(view.root, { root: state, offset: 0, rowStride: null });
    else
      copies.push({
        label: `state '${name}'`,
        reads: [view],
        writes: [state],
        scratch: 0,
        enqueue: (run) => run.copy(run.to(state), run.at(view), bytesOf(state.type)),
      });
  }
  return [...rowsSteps(rows, layout), ...copies];
}

interface RowWrite {
  readonly state: Value;
  readonly value: Value;
  readonly start: Value;
}

/** Writes of rows that begin at the same places of states alike are one launch. */
function rowsSteps(writes: readonly RowWrite[], { viewOf }: Layout): Step[] {
  const groups = new Map<string, RowWrite[]>();
  for (const write of writes) {
    const key = `${write.start.id} ${typeName(write.state.type)} ${typeName(write.value.type)}`;
    const group = groups.get(key);
    if (group) group.push(write);
    else groups.set(key, [write]);
  }
  return [...groups.values()].map((group) => {
    const [{ state, value, start }] = group as [RowWrite];
    const [, heads, length, width] = state.shape as [number, number, number, number];
    const views = group.map((write) => viewOf(write.value));
    return {
      label: `rows of ${group.length} states (${typeName(value.type)})`,
      reads: [...views, viewOf(start)],
      writes: group.map((write) => write.state),
      scratch: 0,
      enqueue(run: Enqueuer) {
        const table = Buffer.alloc(16 * group.length);
        group.forEach((write, n) => {
          table.writeBigUInt64LE(BigInt(run.at(views[n]!)), 16 * n);
          table.writeBigUInt64LE(BigInt(run.to(write.state)), 16 * n + 8);
        });
        const count = sizeOf(value.shape);
        const macros = { T: C_TYPE[state.dtype], C: 'float', VECTOR: 1 };
        const sizes = [i(count), i(heads), i(length), i(value.shape[2]!), i(width)];
        const args = [p(run.table(table)), p(run.at(viewOf(start))), ...sizes];
        run.launch(kernel('rows', 'write_rows', macros), [ceil(count, 256), group.length, 1], 256, args);
      },
    };
  });
}

function placeInArena(steps: readonly Step[], layout: Layout, homes: ReadonlyMap<Value, Home>) {
  const end = steps.length;
  const lifetimes = new Map<Value, { root: Value | null; bytes: number; first: number; last: number }>();
  const baseOf = (value: Value): Value => {
    let base = value;
    for (let home = homes.get(base); home; home = homes.get(base)) base = home.root;
    return base;
  };
  const touch = (value: Value, step: number) => {
    const root = baseOf(value);
    if (root.origin.kind !== 'node') return;
    const known = lifetimes.get(root);
    if (known) {
      known.first = Math.min(known.first, step);
      known.last = Math.max(known.last, step);
    } else lifetimes.set(root, { root, bytes: align(bytesOf(root.type)), first: step, last: step });
  };
  steps.forEach((step, n) => {
    for (const { root } of step.reads) touch(root, n);
    for (const value of step.writes) touch(value, n);
  });
  for (const value of layout.outputs.values()) touch(layout.viewOf(value).root, end);
  const working = steps.map((step, n) => ({ root: null, bytes: align(step.scratch), first: n, last: n, step: n }));
  const placed = placeAll([...lifetimes.values(), ...working.filter(({ bytes }) => bytes > 0)]);
  const places = new Map<Value, number>();
  const scratch = new Array<number>(steps.length).fill(0);
  let arenaBytes = 0;
  for (const place of placed) {
    if (place.root) places.set(place.root, place.offset);
    else scratch[(place as { step?: number }).step!] = place.offset;
    arenaBytes = Math.max(arenaBytes, place.offset + place.bytes);
  }
  return { places, scratch, arenaBytes };
}
