// What lowerings write to, and their type.
import type { Node } from '../../graph/graph.ts';
import type { DType } from '../../graph/types.ts';
import type { attribute } from './proto.ts';

/** ONNX's codes of element types. */
export const ONNX_TYPE: Record<DType, number> = { f32: 1, u8: 2, i32: 6, bool: 9, f16: 10, bf16: 16 };

export type AttributeValues = Record<string, Parameters<typeof attribute>[1]>;

/** What a lowering can write to. */
export interface Emitter {
  /** Adds a node; `outputs` are given or made up, and returned. */
  node(
    opType: string,
    inputs: string[],
    outputs: string[] | number,
    attributes?: AttributeValues,
    domain?: string,
  ): string[];
  /** A literal int64 vector. */
  ints(values: readonly number[]): string;
  /** Data that is part of the model, once under each name, which is returned; `dataType` is ONNX's code. */
  tensor(name: string, dims: readonly number[], dataType: number, data: ArrayBufferView): string;
}

export type Lowering = (emit: Emitter, node: Node, inputs: string[], outputs: string[]) => void;
