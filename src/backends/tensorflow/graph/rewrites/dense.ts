/** Dense layers that are written in operations of tfjs, in the ops that TensorFlow has for them. */
import { bearsMatMul } from '../../fused/product.js';
import { FLOAT, isFlag, type Rewriting } from './rewriting.js';

const ofFloats = { T: { kind: 'type', value: FLOAT } } as const;

/**
 * Products of matrices and sums with a bias in the ops that TensorFlow's graph optimizer joins, `MatMul` and `BiasAdd`. tfjs-node takes
 * products of batches for matrices too, and a sum of any two shapes.
 */
export function joinBiases(rewriting: Rewriting): void {
  if (!bearsMatMul()) return;
  for (const sum of ['Add', 'AddV2'].flatMap(op => rewriting.nodesOf(op))) {
    const [first, second] = sum.inputs as readonly [string, string];
    for (const [operand, bias] of [[first, second] as const, [second, first] as const]) {
      const product = rewriting.maker(operand, 'BatchMatMulV2');
      const { shape, type } = rewriting.typeOf(operand);
      const isMatrix = product !== undefined && shape.length === 2 && type === FLOAT;
      // oneDNN is the faster one where the second operand is transposed.
      if (!isMatrix || isFlag(product, 'adj_y')) continue;
      // Joined, a product of nothing would be zeros without the bias.
      if (rewriting.typeOf(product.inputs[0]!).shape.includes(0)) continue;
      if (String(rewriting.typeOf(bias).shape) !== String([shape[1]])) continue;
      rewriting.replace(product, {
        op: 'MatMul',
        inputs: product.inputs,
        attributes: {
          ...ofFloats,
          transpose_a: { kind: 'bool', value: isFlag(product, 'adj_x') },
          transpose_b: { kind: 'bool', value: false },
        },
      });
      rewriting.replace(sum, { op: 'BiasAdd', inputs: [operand, bias], attributes: ofFloats });
      break;
    }
  }
}

/** Sums over all axes but the last, such as gradients of biases: 85 us for 1,024 rows of 512, where `Sum` takes 295. */
export function sumRows(rewriting: Rewriting): void {
  for (const sum of rewriting.nodesOf('Sum')) {
    const [rows, axes] = sum.inputs as readonly [string, string];
    const { shape, type } = rewriting.typeOf(rows);
    const leading = shape.slice(1).map((_, axis) => axis);
    const isOfRows = leading.length > 0 && String(rewriting.integers(axes)?.sort()) === String(leading);
    if (type !== FLOAT || !isOfRows || isFlag(sum, 'keep_dims')) continue;
    rewriting.replace(sum, { op: 'BiasAddGrad', inputs: [rows], attributes: ofFloats });
  }
}
