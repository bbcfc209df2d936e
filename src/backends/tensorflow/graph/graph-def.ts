/**
 * A TensorFlow graph as the bytes of a SavedModel, the one form in which tfjs-node takes a graph: `GraphDef` (TensorFlow's
 * protocol buffers of the same names) in a `MetaGraphDef` without variables or signatures.
 */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

/** An attribute's value by its kind; numbers of types are TensorFlow's `DataType`. */
export type AttributeValue =
  | { readonly kind: 'int' | 'float' | 'type'; readonly value: number }
  | { readonly kind: 'bool'; readonly value: boolean }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'ints' | 'floats' | 'shape'; readonly value: readonly number[] }
  | { readonly kind: 'bools'; readonly value: readonly boolean[] }
  | {
      readonly kind: 'tensor';
      readonly type: number;
      readonly shape: readonly number[];
      readonly content: Uint8Array;
    };

export interface GraphNode {
  readonly name: string;
  readonly op: string;
  /** Outputs of other nodes, as `name:index`. */
  readonly inputs: readonly string[];
  readonly attributes: Readonly<Record<string, AttributeValue>>;
}

/** The tag under which the graph is found. */
export const GRAPH_TAG = 'serve';

/** Version of TensorFlow's graphs that the ops are meant for, TensorFlow 2.4's: every libtensorflow of tfjs-node 4 reads it. */
const PRODUCER_VERSION = 561;

// Numbers of fields, by message.
const SAVED_MODEL = { schemaVersion: 1, metaGraphs: 2 };
const META_GRAPH = { info: 1, graph: 2 };
const META_INFO = { tags: 4 };
const GRAPH = { node: 1, versions: 4 };
const VERSIONS = { producer: 1 };
const NODE = { name: 1, op: 2, input: 3, attributes: 5 };
const MAP_ENTRY = { key: 1, value: 2 };
const ATTRIBUTE = { list: 1, string: 2, int: 3, float: 4, bool: 5, type: 6, shape: 7, tensor: 8 };
const SHAPE = { dimension: 2 };
const DIMENSION = { size: 1 };
const TENSOR = { type: 1, shape: 2, content: 4 };

/** The file `saved_model.pb` of a graph. */
export function encodeSavedModel(nodes: readonly GraphNode[]): Uint8Array {
  const writer = new BinaryWriter();
  writer.tag(SAVED_MODEL.schemaVersion, WireType.Varint).int64(1);
  message(writer, SAVED_MODEL.metaGraphs, metaGraph => {
    message(metaGraph, META_GRAPH.info, info => text(info, META_INFO.tags, GRAPH_TAG));
    message(metaGraph, META_GRAPH.graph, graph => {
      for (const node of nodes) message(graph, GRAPH.node, inner => encodeNode(inner, node));
      message(graph, GRAPH.versions, versions => {
        versions.tag(VERSIONS.producer, WireType.Varint).int32(PRODUCER_VERSION);
      });
    });
  });
  return writer.finish();
}

function encodeNode(writer: BinaryWriter, { name, op, inputs, attributes }: GraphNode): void {
  text(writer, NODE.name, name);
  text(writer, NODE.op, op);
  for (const input of inputs) text(writer, NODE.input, input);
  for (const [key, attribute] of Object.entries(attributes)) {
    message(writer, NODE.attributes, entry => {
      text(entry, MAP_ENTRY.key, key);
      message(entry, MAP_ENTRY.value, value => encodeAttribute(value, attribute));
    });
  }
}

function encodeAttribute(writer: BinaryWriter, attribute: AttributeValue): void {
  switch (attribute.kind) {
    case 'int':
      writer.tag(ATTRIBUTE.int, WireType.Varint).int64(attribute.value);
      return;
    case 'float':
      writer.tag(ATTRIBUTE.float, WireType.Bit32).float(attribute.value);
      return;
    case 'bool':
      writer.tag(ATTRIBUTE.bool, WireType.Varint).bool(attribute.value);
      return;
    case 'string':
      text(writer, ATTRIBUTE.string, attribute.value);
      return;
    case 'type':
      writer.tag(ATTRIBUTE.type, WireType.Varint).int32(attribute.value);
      return;
    case 'shape':
      message(writer, ATTRIBUTE.shape, shape => encodeShape(shape, attribute.value));
      return;
    case 'ints':
      message(writer, ATTRIBUTE.list, list => {
        for (const value of attribute.value) list.tag(ATTRIBUTE.int, WireType.Varint).int64(value);
      });
      return;
    case 'floats':
      message(writer, ATTRIBUTE.list, list => {
        for (const value of attribute.value) list.tag(ATTRIBUTE.float, WireType.Bit32).float(value);
      });
      return;
    case 'bools':
      message(writer, ATTRIBUTE.list, list => {
        for (const value of attribute.value) list.tag(ATTRIBUTE.bool, WireType.Varint).bool(value);
      });
      return;
    case 'tensor':
      message(writer, ATTRIBUTE.tensor, tensor => {
        tensor.tag(TENSOR.type, WireType.Varint).int32(attribute.type);
        message(tensor, TENSOR.shape, shape => encodeShape(shape, attribute.shape));
        tensor.tag(TENSOR.content, WireType.LengthDelimited).bytes(attribute.content);
      });
  }
}

function encodeShape(writer: BinaryWriter, shape: readonly number[]): void {
  for (const size of shape) {
    message(writer, SHAPE.dimension, dimension => {
      dimension.tag(DIMENSION.size, WireType.Varint).int64(size);
    });
  }
}

function message(writer: BinaryWriter, field: number, write: (writer: BinaryWriter) => void): void {
  writer.tag(field, WireType.LengthDelimited).fork();
  write(writer);
  writer.join();
}

function text(writer: BinaryWriter, field: number, value: string): void {
  writer.tag(field, WireType.LengthDelimited).string(value);
}
