/** Lays out the memory in which replicas read each other's weights. */
import type { CutModel } from '../../model/index.js';
import { tensorBytes } from '../../protocol/message.js';
import type { SharedWeights } from '../../protocol/shared-weights.js';
import { layOut } from '../../tfjs/bytes.js';
import { Arena } from '../../transport/index.js';

/** @returns `undefined` where there are no replicas to share with */
export function layOutSharedWeights({ weights }: CutModel, replicas: number): SharedWeights | undefined {
  if (replicas === 1) return undefined;
  const stepped = weights.filter(({ frozen }) => !frozen);
  const { byteOffsets, byteLength } = layOut(
    stepped.map(({ shape }) => tensorBytes({ dtype: 'float32', shape })),
  );
  return {
    memory: Arena.create(byteLength).memory,
    byteOffsets: new Map(stepped.map(({ order }, index) => [order, byteOffsets[index]!])),
  };
}
