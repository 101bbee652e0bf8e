// One optimiser step as graphs: gradients of a packed micro-batch, clipping by global norm and AdamW, all on the backend.
import { grad } from '../autodiff/grad.ts';
import type { Graph, Value } from '../graph/graph.ts';
import { type AdamWAttrs, adamw } from '../ops/adamw.ts';
import { add } from '../ops/add.ts';
import { div } from '../ops/div.ts';
import { literal } from '../ops/elementwise.ts';
import { less } from '../ops/less.ts';
import { mul } from '../ops/mul.ts';
import { select } from '../ops/select.ts';
import { sqrt } from '../ops/sqrt.ts';
import { sumOfSquares } from '../ops/sum_of_squares.ts';

export interface UpdateOptions extends AdamWAttrs {
  /** clip the global gradient norm to this; 0 does not clip */
  readonly maxGradNorm: number;
}

export const gradState = (name: string): string => `grad.${name}`;
export const momentState = (name: string, part: 'm' | 'v'): string => `adam.${part}.${name}`;

/** Names of the states that are trained, as they stand in the graph. */
function trainedStates(graph: Graph, names: readonly string[]): Value[] {
  return names.map((name) => {
    const state = graph.states.get(name);
    if (!state) throw new Error(`'${name}' is to be trained, and the loss does not read it`);
    return state;
  });
}

/** A whole step in one program: outputs loss and grad_norm. Inputs lr, c1 and c2 besides the batch. */
export function traceStep(graph: Graph, loss: Value, names: readonly string[], options: UpdateOptions): void {
  const params = trainedStates(graph, names);
  graph.output('loss', loss);
  update(graph, params, names, grad(loss, params), options);
}

/** A micro-batch that adds its gradients to states; input keep (f32 []) is 0 for the first of a step, else 1. */
export function traceAccumulate(graph: Graph, loss: Value, names: readonly string[]): void {
  const params = trainedStates(graph, names);
  const keep = graph.input('keep', [], 'f32');
  graph.output('loss', loss);
  grad(loss, params).forEach((g, i) => {
    const sum = graph.state(gradState(names[i] as string), g.shape, 'f32');
    graph.assign(sum, add(g, mul(sum, keep)));
  });
}

/** The update from accumulated gradients: output grad_norm; inputs lr, c1 and c2. */
export function traceUpdate(
  graph: Graph,
  params: readonly { name: string; shape: readonly number[] }[],
  options: UpdateOptions,
): void {
  const states = params.map(({ name, shape }) => graph.state(name, shape, 'f32'));
  const grads = params.map(({ name, shape }) => graph.state(gradState(name), shape, 'f32'));
  update(
    graph,
    states,
    params.map((p) => p.name),
    grads,
    options,
  );
}

function update(
  graph: Graph,
  params: readonly Value[],
  names: readonly string[],
  grads: readonly Value[],
  options: UpdateOptions,
): void {
  const { maxGradNorm, beta1, beta2, eps, weightDecay } = options;
  const lr = graph.input('lr', [], 'f32');
  const c1 = graph.input('c1', [], 'f32');
  const c2 = graph.input('c2', [], 'f32');
  const norm = sqrt(sumOfSquares(grads));
  graph.output('grad_norm', norm);
  // torch's clip_grad_norm_: min(1, max / (norm + 1e-6)). Adding norm · 0 makes the factor NaN when the norm is not
  // finite, and adamw then keeps everything as it was.
  const one = literal(norm, 1);
  const coefficient = div(literal(norm, maxGradNorm || 1), add(norm, literal(norm, 1e-6)));
  const clip = maxGradNorm ? select(less(one, coefficient), one, coefficient) : one;
  const scale = add(clip, mul(norm, literal(norm, 0)));
  params.forEach((p, i) => {
    const name = names[i] as string;
    const m = graph.state(momentState(name, 'm'), p.shape, 'f32');
    const v = graph.state(momentState(name, 'v'), p.shape, 'f32');
    const inputs = { p, g: grads[i] as Value, m, v, lr, scale, c1, c2 };
    const [p1, m1, v1] = adamw(inputs, { beta1, beta2, eps, weightDecay });
    graph.assign(p, p1);
    graph.assign(m, m1);
    graph.assign(v, v1);
  });
}
