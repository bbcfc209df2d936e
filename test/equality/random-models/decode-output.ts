/** The last layer of an output with its loss, the targets that suit it, and metrics. */
import { pick } from './knobs.js';
import type { LayerSpec, OutputSpec, SampleShape, TargetKind } from './spec.js';

export interface OutputGene {
  readonly loss: number;
  readonly metrics: number;
  readonly width: number;
  /** Whether the output keeps the axes of its value, where the loss can do with that. */
  readonly keepsAxes: boolean;
}

interface LossKind {
  readonly loss: string;
  readonly activation: string;
  readonly targets: TargetKind;
  readonly metrics: readonly string[];
  /** Whether it needs vectors. */
  readonly flat?: boolean;
}

const REGRESSION = ['mse', 'mae', 'cosine'] as const;
const CLASSES = ['accuracy', 'categoricalAccuracy', 'categoricalCrossentropy', 'mse'] as const;

const LOSSES: readonly LossKind[] = [
  { loss: 'meanSquaredError', activation: 'linear', targets: 'numbers', metrics: REGRESSION },
  { loss: 'categoricalCrossentropy', activation: 'softmax', targets: 'one-hot', metrics: CLASSES },
  {
    loss: 'categoricalCrossentropy',
    activation: 'softmax',
    targets: 'one-hot',
    metrics: ['precision', ...CLASSES],
    flat: true,
  },
  {
    loss: 'sparseCategoricalCrossentropy',
    activation: 'softmax',
    targets: 'class',
    metrics: ['accuracy', 'sparseCategoricalCrossentropy'],
    flat: true,
  },
  {
    loss: 'binaryCrossentropy',
    activation: 'sigmoid',
    targets: 'bits',
    metrics: ['accuracy', 'binaryAccuracy', 'mse'],
  },
  { loss: 'meanAbsoluteError', activation: 'tanh', targets: 'numbers', metrics: REGRESSION },
  { loss: 'tf.losses.huberLoss', activation: 'linear', targets: 'numbers', metrics: REGRESSION },
  { loss: 'hinge', activation: 'linear', targets: 'signs', metrics: REGRESSION },
  { loss: 'squaredHinge', activation: 'tanh', targets: 'signs', metrics: REGRESSION },
  { loss: 'categoricalHinge', activation: 'linear', targets: 'one-hot', metrics: REGRESSION },
  { loss: 'logcosh', activation: 'linear', targets: 'numbers', metrics: REGRESSION },
  { loss: 'kullbackLeiblerDivergence', activation: 'softmax', targets: 'distribution', metrics: REGRESSION },
  { loss: 'poisson', activation: 'softplus', targets: 'counts', metrics: REGRESSION },
  { loss: 'cosineProximity', activation: 'linear', targets: 'numbers', metrics: REGRESSION },
];

export const LOSS_COUNT = LOSSES.length;

export function drawOutput(
  gene: OutputGene,
  shape: SampleShape,
): {
  readonly layer: LayerSpec;
  readonly flat: boolean;
  readonly output: Omit<OutputSpec, 'value' | 'shape'>;
} {
  const { loss, activation, targets, metrics, flat } = pick(LOSSES, gene.loss);
  const units = 2 + (gene.width % 3);
  return {
    layer: { layer: 'dense', config: { units, ...(activation === 'linear' ? {} : { activation }) } },
    flat: flat === true || !gene.keepsAxes || shape.length > 2,
    output: { targets, loss, metrics: metrics.filter((_, index) => (gene.metrics >> index) % 2 === 1) },
  };
}
