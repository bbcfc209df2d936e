/** What learns: as in tfjs, freezing a weight counts at once, thawing one when the model is compiled again. */
import { ModelError } from '../../../errors.js';
import { compiled, variableOf } from '../../../tfjs/internals.js';
import type { FitContext } from './loop.js';

/** Refuses a model with nothing to train, and tells of flags that were changed without compiling. */
export function checkTrainables({ model, warn }: Pick<FitContext, 'model' | 'warn'>): void {
  const collected = compiled(model).collectedTrainableWeights ?? [];
  if (!collected.some(weight => variableOf(weight).trainable)) {
    throw new ModelError(
      `The model '${model.name}' has no trainable weight. Set layer.trainable = true where it should learn, and compile it again.`,
    );
  }
  const trainable = model.trainableWeights.length;
  if (collected.length === trainable) return;
  warn(
    'TRAINABLE_CHANGED',
    `${trainable} weights are trainable now, but ${collected.length} were when the model was compiled. What was frozen since stays ` +
      'as it is; what was thawed is not trained before the model is compiled again.',
  );
}
