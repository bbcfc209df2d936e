/** Lays out the memory in which replicas read each other's weights. */
import type { CutModel } from '../../model/index.js';
import { alignUp } from '../../protocol/alignment.js';
import type { SharedWeights } from '../../protocol/shared-weights.js';
import { Arena } from '../../transport/index.js';

/** @returns `undefined` where there are no replicas to share with */
export function layOutSharedWeights({ weights }: CutModel, replicas: number): SharedWeights | undefined {
  if (replicas === 1) return undefined;
  const stepped = weights.filter(({ frozen }) => !frozen);
  const bytes = stepped.map(({ shape }) =>
    alignUp(shape.reduce((size, axis) => size * axis, Float32Array.BYTES_PER_ELEMENT)),
  );
  const arena = Arena.create(bytes.reduce((sum, length) => sum + length, 0));
  return {
    memory: arena.memory,
    byteOffsets: new Map(stepped.map(({ order }, index) => [order, arena.allocate(bytes[index]!)])),
  };
}
