/**
 * SimpleRNN, LSTM and GRU layers as one kernel over all steps. Masks, given or kept states, returned states and dropout are
 * left to tfjs, which goes step by step.
 */
import type * as tf from '@tensorflow/tfjs';
import type { RecurrentSettings, RecurrentWeights, StepSettings } from '../../backends/index.js';
import type { Layer } from '../../tfjs/internals.js';
import {
  type ActivationFunction,
  type LayerCall,
  type Lowering,
  presentValue,
  type Weight,
} from './layer-call.js';

interface RecurrentLayer {
  readonly cell: RecurrentCell;
  readonly returnSequences: boolean;
  readonly returnState: boolean;
  readonly stateful: boolean;
  readonly goBackwards: boolean;
}

interface RecurrentCell {
  readonly activation: ActivationFunction;
  /** Of an LSTM's or GRU's cell. */
  readonly recurrentActivation?: ActivationFunction;
  readonly kernel: Weight;
  readonly recurrentKernel: Weight;
  readonly bias: Weight | null;
  readonly dropout: number;
  readonly recurrentDropout: number;
}

const GATES: readonly string[] = ['sigmoid', 'hardSigmoid'] satisfies RecurrentSettings['gate'][];
const ACTIVATIONS: readonly string[] = [
  'tanh',
  'relu',
  'sigmoid',
  'linear',
] satisfies StepSettings['activation'][];

type RecurrentOperation<Settings> = (
  x: tf.Tensor3D,
  weights: RecurrentWeights,
  settings: Settings,
) => tf.Tensor;

/** @param ownSettings those that only layers of this class have; `undefined` leaves the layer to tfjs */
function lower<Settings extends StepSettings>(
  layer: Layer,
  operation: RecurrentOperation<Settings>,
  ownSettings: (cell: RecurrentCell) => Omit<Settings, keyof StepSettings> | undefined,
): LayerCall | undefined {
  const { cell, returnState, stateful, returnSequences, goBackwards } = layer as unknown as RecurrentLayer;
  const own = ownSettings(cell);
  const activation = cell.activation.getClassName();
  if (returnState || stateful || own === undefined || !ACTIVATIONS.includes(activation)) return undefined;
  const settings = { ...own, activation, returnSequences, goBackwards: goBackwards === true } as Settings;
  const dropsOut = cell.dropout > 0 || cell.recurrentDropout > 0;
  return (input, { training, mask, initialState }) => {
    const isMasked = mask !== undefined && mask !== null;
    const isGivenState = initialState !== undefined && initialState !== null;
    if (isMasked || isGivenState || (dropsOut && training === true) || input.rank !== 3) return undefined;
    const weights = {
      kernel: cell.kernel.read(),
      recurrentKernel: cell.recurrentKernel.read(),
      bias: presentValue(cell.bias),
    };
    return operation(input as tf.Tensor3D, weights, settings);
  };
}

function gateOf({ recurrentActivation }: RecurrentCell): Pick<RecurrentSettings, 'gate'> | undefined {
  const gate = recurrentActivation!.getClassName();
  return GATES.includes(gate) ? ({ gate } as Pick<RecurrentSettings, 'gate'>) : undefined;
}

export const simpleRnn: Lowering = (layer, operations) => lower(layer, operations.simpleRnn, () => ({}));

export const lstm: Lowering = (layer, operations) => lower(layer, operations.lstm, gateOf);

export const gru: Lowering = (layer, operations) => lower(layer, operations.gru, gateOf);
