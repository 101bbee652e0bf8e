// The builder, the verifier and the printer, on ops made for the test.
import { describe, expect, test } from 'vitest';
import { call, Graph, type Node, type OpDef, type Value } from './graph.ts';
import { print } from './print.ts';
import { verify } from './verify.ts';

const same: OpDef<{ n: number }> = { name: 'same', infer: ([x]) => [x!], samples: [] };
const pair: OpDef = {
  name: 'pair',
  infer([x]) {
    if (x!.shape.length === 0) throw new Error(`expected a rank above 0, got ${x!.shape.length}`);
    return [x!, { dtype: 'i32', shape: [] }];
  },
  samples: [],
};
const twice: OpDef = {
  name: 'twice',
  infer: ([x]) => [x!],
  decompose: ([x]) => [call(same, [call(same, [x!], { n: 1 })], { n: 2 })],
  samples: [],
};

describe('building', () => {
  test('equal calls and equal constants are built once', () => {
    const graph = new Graph();
    const x = graph.input('x', [2], 'f32');
    expect(call(same, [x], { n: 1 })).toBe(call(same, [graph.input('x', [2], 'f32')], { n: 1 }));
    expect(call(same, [x], { n: 2 })).not.toBe(call(same, [x], { n: 1 }));
    expect(graph.scalar(0.5)).toBe(graph.scalar(0.5));
    expect(graph.scalar(1)).not.toBe(graph.scalar(1, 'i32'));
    expect(graph.nodes.length).toBe(2);
  });

  test('an op is decomposed where the backend asks for it', () => {
    const names = (decomposed: string[]): string[] => {
      const graph = new Graph(new Set(decomposed));
      graph.output('y', call(twice, [graph.input('x', [2], 'f32')], {}));
      verify(graph);
      return graph.nodes.map((node) => node.op.name);
    };
    expect(names([])).toEqual(['twice']);
    expect(names(['twice'])).toEqual(['same', 'same']);
  });

  test('errors name the op, the types and what was expected', () => {
    const graph = new Graph();
    expect(() => call(pair, [graph.scalar(1)], {})).toThrow('pair(f32[]): expected a rank above 0, got 0');
    const x = graph.input('x', [2], 'f32');
    expect(() => graph.input('x', [3], 'f32')).toThrow("input 'x' is f32[2] and was asked for as f32[3]");
    expect(() => graph.assign(x, x)).toThrow('is not a state');
    const w = graph.state('w', [3], 'f32');
    expect(() => graph.assign(w, x)).toThrow("assign to 'w': expected f32[3], got %1: f32[2]");
    graph.assign(w, w);
    expect(() => graph.assign(w, w)).toThrow("state 'w' is assigned twice");
    expect(() => graph.assign(new Graph().state('v', [1], 'f32'), new Graph().scalar(1))).toThrow('expected f32[1]');
  });
});

function sound(): Graph {
  const graph = new Graph();
  const x = graph.input('x', [2], 'f32');
  const w = graph.state('w', [2], 'f32');
  const cache = graph.state('cache', [1, 2, 4, 3], 'f32');
  const [y, count] = graph.apply(pair, [call(same, [x], { n: 1 })], {}) as [Value, Value];
  graph.assign(w, y);
  graph.assignRows(cache, graph.constant(Int32Array.of(2), [1], 'i32'), graph.input('row', [1, 2, 1, 3], 'f32'));
  graph.output('count', count);
  return graph;
}

describe('verify', () => {
  test('a graph from the builder is well formed', () => {
    verify(sound());
  });

  test.each<[string, (graph: Graph) => void, RegExp]>([
    ['order', (g) => g.nodes.reverse(), /node 0 \(pair\) uses %\d+: f32\[2\], which no node before it makes/],
    ['a node twice', (g) => g.nodes.push(g.nodes[0] as Node), /which is made already/],
    [
      'types',
      (g) => {
        (g.nodes[0] as { attrs: unknown; op: OpDef }).op = { ...pair, name: 'changed' };
      },
      /node 0 \(changed\) has outputs \(f32\[2\]\) where it infers \(f32\[2\], i32\[\]\)/,
    ],
    ['an input that is not listed', (g) => g.inputs.delete('x'), /no input 'x'/],
    ['another graph', (g) => g.outputs.set('other', new Graph().scalar(1)), /output 'other' uses .* of another graph/],
    ['two writes', (g) => g.writes.push(g.writes[0]!), /is the second to that state/],
    [
      'a write of another type',
      (g) => g.writes.splice(0, 1, { ...g.writes[0]!, value: g.scalar(1) }),
      /expects f32\[2\], got .*f32\[\]/,
    ],
    [
      'a start of another shape',
      (g) => g.writes.splice(1, 1, { ...g.writes[1]!, start: g.scalar(1, 'i32') }),
      /where it needs i32\[1\]/,
    ],
    [
      'storage of a constant',
      (g) => g.outputs.set('c', g.constant(Int32Array.of(1, 2), [2], 'f32')),
      /holds a Int32Array of 2/,
    ],
    ['bytes in a state', (g) => g.state('b', [2], 'u8'), /is no input, as bytes have to be/],
    [
      'bytes that are computed with',
      (g) => call(same, [g.input('b', [2], 'u8')], { n: 2 }),
      /node 2 \(same\) reads %\d+: u8\[2\], and not by way of a cast/,
    ],
    ['a shape', (g) => g.input('bad', [-1], 'f32'), /has no valid shape/],
  ])('finds what is wrong with %s', (_what, spoil, message) => {
    const graph = sound();
    spoil(graph);
    expect(() => verify(graph)).toThrow(message);
  });

  test('reports all that is wrong at once', () => {
    const graph = sound();
    graph.inputs.delete('x');
    graph.writes.push(graph.writes[0]!);
    expect(() => verify(graph)).toThrow(/no input 'x'[\s\S]*is the second to that state/);
  });
});

test('print shows a program', () => {
  const graph = sound();
  graph.output('table', graph.constant(Float32Array.of(0.1, 2, 3, 4, 5), [5], 'f32'));
  expect(print(graph)).toBe(`input %0: f32[2] 'x'
input %7: f32[1,2,1,3] 'row'
state %1: f32[2] 'w'
state %2: f32[1,2,4,3] 'cache'
%3: f32[2] = same(%0) {n=1}
%4: f32[2], %5: i32[] = pair(%3)
write %1 ← %4
write %2 at rows i32[1]{2} ← %7
output 'count' = %5
output 'table' = f32[5]{0.1, 2, 3, 4, …}
`);
});
