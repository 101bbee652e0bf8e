// The part of ONNX's protobuf schema (onnx/onnx.proto, IR version 10) that a lowered program uses, encoded by protobufjs.
import protobuf from 'protobufjs';

const repeated = (type: string, id: number) => ({ rule: 'repeated', type, id });

const root = protobuf.Root.fromJSON({
  nested: {
    OperatorSetId: { fields: { domain: { type: 'string', id: 1 }, version: { type: 'int64', id: 2 } } },
    Tensor: {
      fields: {
        dims: repeated('int64', 1),
        dataType: { type: 'int32', id: 2 },
        name: { type: 'string', id: 8 },
        rawData: { type: 'bytes', id: 9 },
      },
    },
    Attribute: {
      fields: {
        name: { type: 'string', id: 1 },
        f: { type: 'float', id: 2 },
        i: { type: 'int64', id: 3 },
        s: { type: 'bytes', id: 4 },
        ints: repeated('int64', 8),
        type: { type: 'int32', id: 20 },
      },
    },
    Node: {
      fields: {
        input: repeated('string', 1),
        output: repeated('string', 2),
        name: { type: 'string', id: 3 },
        opType: { type: 'string', id: 4 },
        attribute: repeated('Attribute', 5),
        domain: { type: 'string', id: 7 },
      },
    },
    Dimension: { fields: { dimValue: { type: 'int64', id: 1 } } },
    TensorShape: { fields: { dim: repeated('Dimension', 1) } },
    TensorTypeProto: { fields: { elemType: { type: 'int32', id: 1 }, shape: { type: 'TensorShape', id: 2 } } },
    TypeProto: { fields: { tensorType: { type: 'TensorTypeProto', id: 1 } } },
    ValueInfo: { fields: { name: { type: 'string', id: 1 }, type: { type: 'TypeProto', id: 2 } } },
    Graph: {
      fields: {
        node: repeated('Node', 1),
        name: { type: 'string', id: 2 },
        initializer: repeated('Tensor', 5),
        input: repeated('ValueInfo', 11),
        output: repeated('ValueInfo', 12),
      },
    },
    Model: {
      fields: {
        irVersion: { type: 'int64', id: 1 },
        producerName: { type: 'string', id: 2 },
        graph: { type: 'Graph', id: 7 },
        opsetImport: repeated('OperatorSetId', 8),
      },
    },
  },
});

export interface OnnxAttribute {
  name: string;
  type: number;
  f?: number;
  i?: number;
  s?: Uint8Array;
  ints?: readonly number[];
}
export interface OnnxNode {
  input: string[];
  output: string[];
  opType: string;
  domain: string;
  attribute: OnnxAttribute[];
}
export interface OnnxTensor {
  name: string;
  dims: readonly number[];
  dataType: number;
  rawData: Uint8Array;
}
export interface OnnxValueInfo {
  name: string;
  dims: readonly number[];
  dataType: number;
}
export interface OnnxGraph {
  node: OnnxNode[];
  initializer: OnnxTensor[];
  input: OnnxValueInfo[];
  output: OnnxValueInfo[];
}

/** An attribute from a plain value: a whole number is an int, `float()` makes floats. */
export function attribute(name: string, value: number | string | readonly number[] | { float: number }): OnnxAttribute {
  if (typeof value === 'number') return { name, type: 2, i: value };
  if (typeof value === 'string') return { name, type: 3, s: new TextEncoder().encode(value) };
  return 'float' in value ? { name, type: 1, f: value.float } : { name, type: 7, ints: value };
}

/** Encodes a model of opset 20 with ONNX Runtime's own operators beside it. */
export function encodeModel(graph: OnnxGraph): Uint8Array {
  const info = ({ name, dims, dataType }: OnnxValueInfo) => ({
    name,
    type: { tensorType: { elemType: dataType, shape: { dim: dims.map((dimValue) => ({ dimValue })) } } },
  });
  const model = root.lookupType('Model');
  return model
    .encode(
      model.create({
        irVersion: 10,
        producerName: 'texlens',
        opsetImport: [
          { domain: '', version: 20 },
          { domain: 'com.microsoft', version: 1 },
        ],
        graph: { ...graph, name: 'program', input: graph.input.map(info), output: graph.output.map(info) },
      }),
    )
    .finish();
}
