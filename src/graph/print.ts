// A program as readable text: its inputs and states, one line a node, then the writes and the outputs.
import type { Attrs, Graph, Value } from './graph.ts';
import { typeName } from './types.ts';

const SHOWN = 4;

/** A value where it is used: its number, or the head of a constant. */
function operand({ id, origin, type }: Value): string {
  if (origin.kind !== 'constant') return `%${id}`;
  const head = Array.from(origin.data.slice(0, SHOWN), (x) => Number(x.toPrecision(6))).join(', ');
  const text = origin.data.length > SHOWN ? `${head}, …` : head;
  return type.shape.length === 0 ? `${type.dtype}(${text})` : `${typeName(type)}{${text}}`;
}

function attributes(attrs: Attrs): string {
  const entries = Object.entries(attrs).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return entries.length > 0 ? ` {${entries.join(', ')}}` : '';
}

export function print(graph: Graph): string {
  const lines: string[] = [];
  for (const [name, value] of graph.inputs) lines.push(`input ${value} '${name}'`);
  for (const [name, value] of graph.states) lines.push(`state ${value} '${name}'`);
  for (const { op, attrs, inputs, outputs } of graph.nodes)
    lines.push(`${outputs.join(', ')} = ${op.name}(${inputs.map(operand).join(', ')})${attributes(attrs)}`);
  for (const { state, value, start } of graph.writes)
    lines.push(`write ${operand(state)}${start ? ` at rows ${operand(start)}` : ''} ← ${operand(value)}`);
  for (const [name, value] of graph.outputs) lines.push(`output '${name}' = ${operand(value)}`);
  return `${lines.join('\n')}\n`;
}
