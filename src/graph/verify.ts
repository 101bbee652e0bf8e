// The verifier: checks a program against the written specification below and throws all that is wrong at once.
import type { Graph, Node, Value } from './graph.ts';
import { hostArray, sizeOf, typeName } from './types.ts';

/**
 * A graph is well formed when
 *  1. every value that a node, an output or a write uses belongs to the graph, and is an input or a state that the
 *     graph lists under its name, a constant, or an output of a listed node;
 *  2. nodes stand in SSA order: what a node reads was made by a node before it, and each value is made once, by the
 *     node and at the index that its origin names;
 *  3. every shape consists of non-negative integers;
 *  4. every node has exactly the output types that its op infers from its inputs and attributes;
 *  5. a constant's data has its type's element count and host storage;
 *  6. a write goes to a listed state, at most one to each; a whole write has the state's type; a row write goes into a
 *     state [B, heads, L, d], with a value [B, heads, n ≤ L, d] of the same dtype and a start i32 [B];
 *  7. a value of u8 is an input, and only ops that read bytes read it.
 */
export function verify(graph: Graph): void {
  const errors: string[] = [];
  const made = new Set<Value>();
  const checked = new Set<Value>();

  /** Rules 1, 3, 5 and the first half of 7 for a value in use. */
  const use = (value: Value, where: string): void => {
    const { origin, type } = value;
    if (value.graph !== graph) errors.push(`${where} uses ${value}, a value of another graph`);
    else if (origin.kind === 'node') {
      if (!made.has(value)) errors.push(`${where} uses ${value}, which no node before it makes`);
    } else if (origin.kind !== 'constant') {
      const table = origin.kind === 'input' ? graph.inputs : graph.states;
      if (table.get(origin.name) !== value) errors.push(`${where} uses ${value}: no ${origin.kind} '${origin.name}'`);
    }
    if (checked.has(value)) return;
    checked.add(value);
    if (!type.shape.every((n) => Number.isInteger(n) && n >= 0)) errors.push(`${value} has no valid shape`);
    if (type.dtype === 'u8' && origin.kind !== 'input') errors.push(`${value} is no input, as bytes have to be`);
    if (origin.kind === 'constant') {
      const storage = hostArray({ dtype: type.dtype, shape: [0] }).constructor;
      if (origin.data.length !== sizeOf(type.shape) || origin.data.constructor !== storage)
        errors.push(`constant ${value} holds a ${origin.data.constructor.name} of ${origin.data.length}`);
    }
  };

  for (const table of [graph.inputs, graph.states])
    for (const [name, value] of table) use(value, `the entry '${name}'`);
  for (const [i, node] of graph.nodes.entries()) {
    const where = `node ${i} (${node.op.name})`;
    for (const input of node.inputs) {
      use(input, where);
      if (input.dtype === 'u8' && !node.op.readsBytes) errors.push(`${where} reads ${input}, and not by way of a cast`);
    }
    checkNode(node, where, errors);
    for (const [index, value] of node.outputs.entries()) {
      const { origin } = value;
      if (made.has(value)) errors.push(`${where} makes ${value}, which is made already`);
      if (origin.kind !== 'node' || origin.node !== node || origin.index !== index)
        errors.push(`${where} makes ${value}, whose origin is elsewhere`);
      made.add(value);
    }
  }
  for (const [name, value] of graph.outputs) use(value, `output '${name}'`);
  checkWrites(graph, use, errors);
  if (errors.length > 0) throw new Error(`the graph is not well formed:\n- ${errors.join('\n- ')}`);
}

/** Rule 4. */
function checkNode({ op, attrs, inputs, outputs }: Node, where: string, errors: string[]): void {
  try {
    const inferred = op.infer(
      inputs.map((value) => value.type),
      attrs,
    );
    const expected = inferred.map(typeName).join(', ');
    const found = outputs.map((value) => typeName(value.type)).join(', ');
    if (expected !== found) errors.push(`${where} has outputs (${found}) where it infers (${expected})`);
  } catch (error) {
    errors.push(`${where} infers no types: ${(error as Error).message}`);
  }
}

/** Rule 6. */
function checkWrites(graph: Graph, use: (value: Value, where: string) => void, errors: string[]): void {
  const written = new Set<Value>();
  for (const { state, value, start } of graph.writes) {
    const where = `the write to ${state}`;
    use(state, where);
    use(value, where);
    if (state.origin.kind !== 'state') errors.push(`${where} is not to a state`);
    if (written.has(state)) errors.push(`${where} is the second to that state`);
    written.add(state);
    let expected = state.type;
    if (start) {
      use(start, where);
      const [batch, heads, length, width] = state.shape as [number, number, number, number];
      const rows = value.shape[2] ?? 0;
      if (state.shape.length !== 4 || rows > length) errors.push(`${where} has no room for the rows of ${value}`);
      if (start.dtype !== 'i32' || start.shape.length !== 1 || start.shape[0] !== batch)
        errors.push(`${where} starts at ${start} where it needs i32[${batch}]`);
      expected = { dtype: state.dtype, shape: [batch, heads, rows, width] };
    }
    if (typeName(expected) !== typeName(value.type))
      errors.push(`${where} expects ${typeName(expected)}, got ${value}`);
  }
}
