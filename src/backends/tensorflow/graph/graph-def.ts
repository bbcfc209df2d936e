/**
 * A TensorFlow graph as the bytes of a SavedModel, the one form in which tfjs-node takes a graph: `GraphDef` (TensorFlow's
 * protocol buffers of the same names) in a `MetaGraphDef` without variables or signatures.
 */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { nested, writeShape, writeTensor } from '../../../protocol-buffers.js';

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

/** The file `saved_model.pb` of a graph. */
export function encodeSavedModel(nodes: readonly GraphNode[]): Uint8Array {
  const writer = new BinaryWriter();
  writer.tag(SAVED_MODEL.schemaVersion, WireType.Varint).int64(1);
  nested(writer, SAVED_MODEL.metaGraphs, () => {
    nested(writer, META_GRAPH.info, () => writeText(writer, META_INFO.tags, GRAPH_TAG));
    nested(writer, META_GRAPH.graph, () => {
      for (const node of nodes) nested(writer, GRAPH.node, () => writeNode(writer, node));
      nested(writer, GRAPH.versions, () => {
        writer.tag(VERSIONS.producer, WireType.Varint).int32(PRODUCER_VERSION);
      });
    });
  });
  return writer.finish();
}

function writeNode(writer: BinaryWriter, { name, op, inputs, attributes }: GraphNode): void {
  writeText(writer, NODE.name, name);
  writeText(writer, NODE.op, op);
  for (const input of inputs) writeText(writer, NODE.input, input);
  for (const [key, attribute] of Object.entries(attributes)) {
    nested(writer, NODE.attributes, () => {
      writeText(writer, MAP_ENTRY.key, key);
      nested(writer, MAP_ENTRY.value, () => writeAttribute(writer, attribute));
    });
  }
}

function writeAttribute(writer: BinaryWriter, attribute: AttributeValue): void {
  const writeInt = (value: number): unknown => writer.tag(ATTRIBUTE.int, WireType.Varint).int64(value);
  const writeFloat = (value: number): unknown => writer.tag(ATTRIBUTE.float, WireType.Bit32).float(value);
  const writeBool = (value: boolean): unknown => writer.tag(ATTRIBUTE.bool, WireType.Varint).bool(value);
  switch (attribute.kind) {
    case 'int':
      writeInt(attribute.value);
      break;
    case 'float':
      writeFloat(attribute.value);
      break;
    case 'bool':
      writeBool(attribute.value);
      break;
    case 'string':
      writeText(writer, ATTRIBUTE.string, attribute.value);
      break;
    case 'type':
      writer.tag(ATTRIBUTE.type, WireType.Varint).int32(attribute.value);
      break;
    case 'shape':
      nested(writer, ATTRIBUTE.shape, () => writeShape(writer, attribute.value));
      break;
    case 'ints':
      nested(writer, ATTRIBUTE.list, () => attribute.value.forEach(writeInt));
      break;
    case 'floats':
      nested(writer, ATTRIBUTE.list, () => attribute.value.forEach(writeFloat));
      break;
    case 'bools':
      nested(writer, ATTRIBUTE.list, () => attribute.value.forEach(writeBool));
      break;
    case 'tensor':
      nested(writer, ATTRIBUTE.tensor, () => {
        writeTensor(writer, attribute.type, attribute.shape, attribute.content);
      });
      break;
    default:
      attribute satisfies never;
  }
}

function writeText(writer: BinaryWriter, field: number, value: string): void {
  writer.tag(field, WireType.LengthDelimited).string(value);
}
