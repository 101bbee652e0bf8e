// Every op by name: the one table that backends, the conformance suite and the printer go by.
import { adamwOp } from './adamw.ts';
import { addOp } from './add.ts';
import { attentionOp } from './attention.ts';
import { attentionGradOp } from './attention_grad.ts';
import { broadcastToOp } from './broadcast_to.ts';
import { cachedAttentionOp } from './cached_attention.ts';
import { castOp } from './cast.ts';
import { concatOp } from './concat.ts';
import { divOp } from './div.ts';
import { dropoutMaskOp } from './dropout_mask.ts';
import { equalOp } from './equal.ts';
import { erfOp } from './erf.ts';
import { expOp } from './exp.ts';
import { gatherRowsOp } from './gather_rows.ts';
import { geluOp } from './gelu.ts';
import { geluGradOp } from './gelu_grad.ts';
import { greedyChoiceOp } from './greedy_choice.ts';
import { isFiniteOp } from './is_finite.ts';
import { layerNormOp } from './layer_norm.ts';
import { layerNormGradOp } from './layer_norm_grad.ts';
import { lessOp } from './less.ts';
import { linearCrossEntropyOp } from './linear_cross_entropy.ts';
import { logOp } from './log.ts';
import { matmulOp } from './matmul.ts';
import { maximumOp } from './maximum.ts';
import { mulOp } from './mul.ts';
import { negOp } from './neg.ts';
import { padOp } from './pad.ts';
import { reduceMaxOp } from './reduce_max.ts';
import { reduceSumOp } from './reduce_sum.ts';
import { reshapeOp } from './reshape.ts';
import { rmsNormOp } from './rms_norm.ts';
import { rmsNormGradOp } from './rms_norm_grad.ts';
import { ropeOp } from './rope.ts';
import { sampledChoiceOp } from './sampled_choice.ts';
import { scatterAddRowsOp } from './scatter_add_rows.ts';
import { selectOp } from './select.ts';
import { sigmoidOp } from './sigmoid.ts';
import { sliceOp } from './slice.ts';
import { softmaxOp } from './softmax.ts';
import { splitOp } from './split.ts';
import { sqrtOp } from './sqrt.ts';
import { subOp } from './sub.ts';
import { sumOfSquaresOp } from './sum_of_squares.ts';
import { swigluOp } from './swiglu.ts';
import { swigluGradOp } from './swiglu_grad.ts';
import { transposeOp } from './transpose.ts';
import { uniformOp } from './uniform.ts';

export const ops = {
  adamw: adamwOp,
  add: addOp,
  attention: attentionOp,
  attention_grad: attentionGradOp,
  broadcast_to: broadcastToOp,
  cached_attention: cachedAttentionOp,
  cast: castOp,
  concat: concatOp,
  div: divOp,
  dropout_mask: dropoutMaskOp,
  equal: equalOp,
  erf: erfOp,
  exp: expOp,
  gather_rows: gatherRowsOp,
  gelu: geluOp,
  gelu_grad: geluGradOp,
  greedy_choice: greedyChoiceOp,
  is_finite: isFiniteOp,
  layer_norm: layerNormOp,
  layer_norm_grad: layerNormGradOp,
  less: lessOp,
  linear_cross_entropy: linearCrossEntropyOp,
  log: logOp,
  matmul: matmulOp,
  maximum: maximumOp,
  mul: mulOp,
  neg: negOp,
  pad: padOp,
  reduce_max: reduceMaxOp,
  reduce_sum: reduceSumOp,
  reshape: reshapeOp,
  rms_norm: rmsNormOp,
  rms_norm_grad: rmsNormGradOp,
  rope: ropeOp,
  sampled_choice: sampledChoiceOp,
  scatter_add_rows: scatterAddRowsOp,
  select: selectOp,
  sigmoid: sigmoidOp,
  slice: sliceOp,
  softmax: softmaxOp,
  split: splitOp,
  sqrt: sqrtOp,
  sub: subOp,
  sum_of_squares: sumOfSquaresOp,
  swiglu: swigluOp,
  swiglu_grad: swigluGradOp,
  transpose: transposeOp,
  uniform: uniformOp,
} as const;

export type OpName = keyof typeof ops;
