/**
 * An LSTM layer with sigmoid gates and tanh, which TensorFlow has as one op over all steps, and another back. Against the
 * step-wise kernel of `lstm.ts`, which serves tfjs's default of hard sigmoid: 41 ms against 62 for 32 steps of [128, 128] and
 * back, and 26 against 42 for half the rows, where calls weigh more.
 *
 * B and W do not separate: the gradient op makes those of the weights too.
 */
import * as tf from '@tensorflow/tfjs';
import type { RecurrentSettings, RecurrentWeights } from '../../fused-operations.js';
import { type Attribute, rawOps } from '../raw-ops.js';
import { register, sharing } from './kernel.js';
import { joinRows, stack, swapTime, unstack } from './recurrent.js';

/** Outputs of the op; the hidden state is the last. */
const OUTPUT_COUNT = 7;
const GRADIENT_COUNT = 8;
/** Places of gradients among them. */
const X_GRADIENT = 0;
const WEIGHTS_GRADIENT = 3;
const BIAS_GRADIENT = 7;

export function isBlock({ gate, activation }: RecurrentSettings): boolean {
  return gate === 'sigmoid' && activation === 'tanh';
}

interface Setting {
  readonly steps: number;
  readonly batch: number;
  readonly units: number;
}

/** Lengths, states before the first step, weights, peepholes (unused) and bias, as both ops want them. */
function sharedInputs(
  x: tf.Tensor,
  weights: tf.Tensor,
  bias: tf.Tensor | undefined,
  { steps, batch, units }: Setting,
): tf.Tensor[] {
  const raw = rawOps();
  const length = raw.int64(steps);
  const state = tf.zeros([batch, units]);
  const unused = tf.zeros([units]);
  return [length, x, state, state, weights, unused, unused, unused, bias ?? tf.zeros([4 * units])];
}

function reverseTime(x: tf.Tensor): tf.Tensor {
  const raw = rawOps();
  return raw.one('ReverseV2', [...raw.float, raw.type('Tidx', 'int32')], x, tf.tensor1d([0], 'int32'));
}

/** [batch, time, …] into the time-major order of computation, and back. */
function inOrder(x: tf.Tensor, { goBackwards }: RecurrentSettings): tf.Tensor {
  const swapped = swapTime(x);
  return goBackwards ? reverseTime(swapped) : swapped;
}

function outOfOrder(x: tf.Tensor, { goBackwards }: RecurrentSettings): tf.Tensor {
  return swapTime(goBackwards ? reverseTime(x) : x);
}

/** The gradient of every step's output. */
function receivedGradient(dy: tf.Tensor, steps: number, { returnSequences }: RecurrentSettings): tf.Tensor {
  if (returnSequences) return swapTime(dy);
  const last = stack([dy], 0);
  return steps === 1 ? last : joinRows([tf.zeros([steps - 1, ...dy.shape]), last]);
}

function withPeephole(...attributes: Attribute[]): Attribute[] {
  const raw = rawOps();
  return [...raw.float, raw.bool('use_peephole', false), ...attributes];
}

const run = register<RecurrentSettings>({
  name: 'MillraceBlockLstm',
  forward({ x, kernel, recurrentKernel, bias }, settings, hide) {
    const raw = rawOps();
    return tf.tidy(() => {
      const [batch, steps] = x!.shape as [number, number, number];
      const units = recurrentKernel!.shape[0]!;
      const inputs = sharedInputs(inOrder(x!, settings), joinRows([kernel!, recurrentKernel!]), bias, {
        steps,
        batch,
        units,
      });
      const outputs = raw.many('BlockLSTMV2', withPeephole(raw.number('cell_clip', 0)), inputs, OUTPUT_COUNT);
      const h = outputs.at(-1)!;
      hide([...new Set([...inputs, ...outputs])].map(tensor => tf.keep(tf.clone(tensor))));
      return settings.returnSequences ? swapTime(h) : unstack(h, 0).at(-1)!;
    });
  },
  saves: { inputs: ['recurrentKernel'], output: false },
  gradient([dy], saved, settings) {
    const [recurrentKernel, length, x, state, weights, unused, bias, ...outputs] = saved as [
      tf.Tensor,
      tf.Tensor,
      tf.Tensor,
      tf.Tensor,
      tf.Tensor,
      tf.Tensor,
      tf.Tensor,
      ...tf.Tensor[],
    ];
    const forward = outputs.slice(0, OUTPUT_COUNT);
    const raw = rawOps();
    const width = weights.shape[1]!;
    const [inputWidth, units] = [x.shape[2]!, recurrentKernel.shape[0]!];
    const all = sharing(saved, () =>
      tf.tidy(() => {
        const dh = receivedGradient(dy!, x.shape[0]!, settings);
        const dc = tf.zeros(dh.shape);
        const gradients = raw.many(
          'BlockLSTMGradV2',
          withPeephole(),
          [length, x, state, state, weights, unused, unused, unused, bias, ...forward, dc, dh],
          GRADIENT_COUNT,
        );
        const joined = gradients[WEIGHTS_GRADIENT]!;
        return [
          outOfOrder(gradients[X_GRADIENT]!, settings),
          tf.slice(joined, [0, 0], [inputWidth, width]),
          tf.slice(joined, [inputWidth, 0], [units, width]),
          gradients[BIAS_GRADIENT]!,
        ];
      }),
    );
    // Clones: what is shared goes with the tape, the results do not.
    return {
      x: () => tf.clone(all()[0]!),
      kernel: () => tf.clone(all()[1]!),
      recurrentKernel: () => tf.clone(all()[2]!),
      bias: () => tf.clone(all()[3]!),
    };
  },
});

export function blockLstm(x: tf.Tensor3D, weights: RecurrentWeights, settings: RecurrentSettings): tf.Tensor {
  return run({ x, ...weights }, settings);
}
