/**
 * Which results of a recorded computation may share memory with a tensor that was given.
 *
 * TensorFlow passes a buffer on wherever an op has nothing to do: in a reshape, but also in a transpose by the identity or a sum over axes
 * of length one. So ops that always write their results are listed, not those that may not.
 */
import type { GraphNode } from './graph-def.js';

/** They write what they give, into memory of its own as long as somebody holds what they read. */
export const WRITING_OPS = [
  'BatchMatMulV2',
  'BiasAdd',
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
const passing: ReadonlySet<string> = new Set(['Identity', 'Reshape']);

/** @returns whether a source, `node:output`, may lie in memory that was given to the computation */
export function mayShareGivenMemory(nodes: readonly GraphNode[]): (source: string) => boolean {
  const byName = new Map(nodes.map(node => [node.name, node]));
  const nodeOf = (source: string): GraphNode => byName.get(source.slice(0, source.indexOf(':')))!;
  const mayShare = (source: string): boolean => {
    const { op, inputs } = nodeOf(source);
    if (passing.has(op)) return mayShare(inputs[0]!);
    // With a constant the graph optimizer may find that there is nothing to do, as in adding zeros.
    return !writing.has(op) || inputs.some(input => nodeOf(input).op === 'Const');
  };
  return mayShare;
}
