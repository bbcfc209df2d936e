/** Compiles a model that is to be planned: with what it was saved with, what the command line says, and else what is usual. */
import type * as tf from '@tensorflow/tfjs';
import { ConfigurationError } from '../../errors.js';

const USUAL_OPTIMIZER = 'adam';
/** By the activation of an output's layer. */
const USUAL_LOSSES: Readonly<Record<string, string>> = {
  softmax: 'categoricalCrossentropy',
  sigmoid: 'binaryCrossentropy',
};
const LOSS_OF_OTHERS = 'meanSquaredError';

/**
 * @returns what was assumed, in words
 * @throws ConfigurationError for a loss or an optimizer that tfjs does not know
 */
export function compileForPlan(
  model: tf.LayersModel,
  { optimizer, loss }: { readonly optimizer?: string; readonly loss?: string },
): string[] {
  const isCompiled = model.optimizer != null && model.loss != null;
  if (isCompiled && optimizer === undefined && loss === undefined) return [];
  const losses = loss ?? (isCompiled ? model.loss : model.outputs.map(usualLoss));
  try {
    model.compile({
      optimizer: optimizer ?? (isCompiled ? model.optimizer : USUAL_OPTIMIZER),
      loss: losses,
      ...(isCompiled && { metrics: model.metrics }),
    });
  } catch (error) {
    throw new ConfigurationError(
      'compile',
      `The model '${model.name}' cannot be compiled: ${(error as Error).message}. --optimizer and --loss take the names that ` +
        'model.compile() takes.',
      { cause: error },
    );
  }
  if (isCompiled) return [];
  return [
    ...(optimizer === undefined
      ? [`optimizer ${USUAL_OPTIMIZER}, since the model was saved without one`]
      : []),
    ...(loss === undefined
      ? [`loss ${[losses].flat().join(', ')}, by the activation of the last layer`]
      : []),
  ];
}

function usualLoss(output: tf.SymbolicTensor): string {
  const { activation } = output.sourceLayer.getConfig();
  return USUAL_LOSSES[String(activation)] ?? LOSS_OF_OTHERS;
}
