/**
 * Which results of a recorded computation may share memory with a tensor that was given.
 *
 * TensorFlow passes a buffer on wherever an op has nothing to do: in a reshape, but also in a transpose by the identity or a sum over axes
 * of length one. So ops that always write their results are listed, not those that may not.
 */
import type { GraphNode } from './graph-def.js';

/** They write what they give, into memory of its own as long as somebody holds what they read, and are never optimized away. */
export const WRITING_OPS = [
  'BatchMatMulV2',
  'BiasAddGrad',
  'Conv2D',
  'Elu',
  'EluGrad',
  'MatMul',
  'Relu',
  'Relu6',
  'Relu6Grad',
  'ReluGrad',
  'Selu',
  'SeluGrad',
  'Sigmoid',
  'SigmoidGrad',
  'Softmax',
  'Softplus',
  'SoftplusGrad',
  'Tanh',
  'TanhGrad',
] as const;

const writing: ReadonlySet<string> = new Set(WRITING_OPS);
/** They may pass their first input on: where a bias is known to be zeros, TensorFlow's graph optimizer takes the sum out. */
const passing: ReadonlySet<string> = new Set(['BiasAdd', 'Identity', 'Reshape']);

/** @returns whether a source, `node:output`, may lie in memory that was given to the computation */
export function mayShareGivenMemory(nodes: readonly GraphNode[]): (source: string) => boolean {
  const byName = new Map(nodes.map(node => [node.name, node]));
  const nodeOf = (source: string): GraphNode => byName.get(source.slice(0, source.indexOf(':')))!;
  const mayShare = (source: string): boolean => {
    const { op, inputs } = nodeOf(source);
    return passing.has(op) ? mayShare(inputs[0]!) : !writing.has(op);
  };
  return mayShare;
}
