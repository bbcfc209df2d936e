/** Random models: any layer may read any earlier value, so that values skip over any number of others. */
import * as tf from '@tensorflow/tfjs';
import * as fc from 'fast-check';

/** For each layer the earlier values that it reads, input first; two or more are added up. */
export type Wiring = readonly (readonly number[])[];

export const wirings: fc.Arbitrary<Wiring> = fc
  .array(fc.array(fc.nat(), { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 9 })
  .map(drawn => drawn.map((reads, index) => [...new Set(reads.map(read => read % (index + 1)))]));

/** Values that nobody reads become outputs. */
export function wire(wiring: Wiring): tf.LayersModel {
  const values: tf.SymbolicTensor[] = [tf.input({ shape: [2] })];
  const unread = new Set<tf.SymbolicTensor>();
  for (const reads of wiring) {
    const inputs = reads.map(read => values[read]!);
    for (const input of inputs) unread.delete(input);
    const layer = inputs.length === 1 ? tf.layers.dense({ units: 2 }) : tf.layers.add();
    const output = layer.apply(inputs.length === 1 ? inputs[0]! : inputs) as tf.SymbolicTensor;
    values.push(output);
    unread.add(output);
  }
  const model = tf.model({ inputs: values[0]!, outputs: [...unread] });
  model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
  return model;
}

/** A wired model and some of its cut points. */
export function withCuts<T extends { readonly points: readonly number[] }>(read: (wiring: Wiring) => T) {
  return wirings.chain(wiring => {
    const parts = read(wiring);
    return fc.record({ parts: fc.constant(parts), cuts: fc.subarray([...parts.points]) });
  });
}
