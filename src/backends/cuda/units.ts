// Groups elementwise items into units that run as one kernel each; every other item is a unit of its own. A group never
// contains two items with something outside the group between them.
import type { Value } from '../../graph/graph.ts';
import { sizeOf } from '../../graph/types.ts';
import type { Item } from './item.ts';
import { literalOf } from './items.ts';
import { isPointwise } from './pointwise.ts';
import { isContiguous, type View } from './view.ts';

/** One kernel's inputs and outputs at most: more would spill registers. */
const MOST_OPERANDS = 14;

export class Unit {
  readonly items: Item[] = [];
  /** units whose results this one reads, and those of them that it must read through memory */
  readonly before = new Set<Unit>();
  readonly throughMemory = new Set<Unit>();
  /** place of the first and last item in the program */
  first = Number.POSITIVE_INFINITY;
  last = -1;
  private joined: Unit | null = null;

  constructor(
    readonly pointwise: boolean,
    readonly size: number,
  ) {}

  add(item: Item, place: number): void {
    this.items.push(item);
    this.first = Math.min(this.first, place);
    this.last = Math.max(this.last, place);
  }

  /** The unit that this one has become part of, or itself. */
  now(): Unit {
    let unit: Unit = this;
    while (unit.joined) unit = unit.joined;
    return unit;
  }

  absorb(other: Unit): void {
    this.items.push(...other.items);
    for (const unit of other.before) this.before.add(unit);
    for (const unit of other.throughMemory) this.throughMemory.add(unit);
    this.first = Math.min(this.first, other.first);
    this.last = Math.max(this.last, other.last);
    other.joined = this;
  }

  predecessors(): Unit[] {
    return [...new Set([...this.before].map((unit) => unit.now()))].filter((unit) => unit !== this);
  }
}

/** Is a value of `size` elements read as it lies, so that a register of the same thread holds it? */
export const readsInPlace = (view: View, size: number): boolean =>
  view.offset === 0 && isContiguous(view) && sizeOf(view.root.shape) === size && sizeOf(view.shape) === size;

/** Units in an order in which they can run. */
export function unitsOf(items: readonly Item[], viewOf: (value: Value) => View): Unit[] {
  const makers = new Map<Value, Unit>();
  const units: Unit[] = [];
  items.forEach((item, place) => {
    const size = sizeOf(item.outputs[0]!.shape);
    const pointwise = isPointwise(item.op);
    const sources = item.inputs
      .filter((input) => literalOf(input) === null)
      .flatMap((input) => {
        const view = viewOf(input);
        const unit = makers.get(view.root)?.now();
        return unit ? [{ unit, inPlace: readsInPlace(view, size) }] : [];
      });
    const unit = new Unit(pointwise, size);
    unit.add(item, place);
    for (const { unit: source, inPlace } of sources) {
      unit.before.add(source);
      if (!inPlace) unit.throughMemory.add(source);
    }
    let home = unit;
    if (pointwise)
      for (const candidate of new Set(sources.map((source) => source.unit))) {
        const other = candidate.now();
        if (other === home || !other.pointwise || other.size !== size) continue;
        if (readsThroughMemory(home, other) || readsThroughMemory(other, home)) continue;
        if (operands(home, other) > MOST_OPERANDS || between(other, home)) continue;
        other.absorb(home);
        home = other;
      }
    if (home === unit) units.push(unit);
    for (const out of item.outputs) makers.set(out, home);
  });
  const places = new Map(items.map((item, place) => [item, place]));
  for (const unit of units) unit.items.sort((a, b) => places.get(a)! - places.get(b)!);
  return ordered(units.filter((unit) => unit.now() === unit));
}

/** What is read through memory must have been written by another kernel. */
const readsThroughMemory = (reader: Unit, maker: Unit): boolean =>
  [...reader.throughMemory].some((unit) => unit.now() === maker);

function operands(a: Unit, b: Unit): number {
  const items = [...a.items, ...b.items];
  const made = new Set(items.flatMap((item) => item.outputs));
  return new Set(items.flatMap((item) => item.inputs).filter((input) => !made.has(input))).size + items.length / 4;
}

/** Does a unit outside both lie on a way from one to the other, in either direction? */
function between(a: Unit, b: Unit): boolean {
  const reaches = (from: Unit, goal: Unit): boolean => {
    const seen = new Set<Unit>();
    const open = from.predecessors().filter((unit) => unit !== goal);
    for (let unit = open.pop(); unit; unit = open.pop()) {
      if (unit === goal) return true;
      if (seen.has(unit) || unit.last < goal.first) continue;
      seen.add(unit);
      open.push(...unit.predecessors());
    }
    return false;
  };
  return reaches(a, b) || reaches(b, a);
}

/** Units after what they read, otherwise by the place of their last item. */
function ordered(units: readonly Unit[]): Unit[] {
  const out: Unit[] = [];
  const done = new Set<Unit>();
  const visit = (root: Unit): void => {
    const stack: { unit: Unit; left: Unit[] }[] = [];
    const enter = (unit: Unit) => {
      if (done.has(unit)) return;
      done.add(unit);
      stack.push({ unit, left: unit.predecessors().sort((a, b) => b.last - a.last) });
    };
    enter(root);
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const next = top.left.pop();
      if (next) enter(next);
      else {
        out.push(top.unit);
        stack.pop();
      }
    }
  };
  for (const unit of units.slice().sort((a, b) => a.last - b.last)) visit(unit);
  return out;
}
