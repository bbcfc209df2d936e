/** What tfjs does not check of targets, but trains on silently: labels that are no class of their output. */
import { ConfigurationError } from '../../../errors.js';
import { type CompileSpec, takesLabels } from '../../../protocol/stage-spec.js';
import { type SampleArray, sampleSize } from '../mini-batch.js';

/** For an index that is no class tfjs makes a target of zeros, so that the sample counts as if it were predicted perfectly. */
export function checkLabels(path: string, compile: CompileSpec, targets: readonly SampleArray[]): void {
  for (const [output, target] of targets.entries()) {
    const { name, shape } = compile.outputs[output]!;
    const classes = shape[shape.length - 1];
    if (!takesLabels(compile.losses[output]) || typeof classes !== 'number') continue;
    // Fractions are rounded down, as in tfjs.
    const wrong = target.data.findIndex((label: number) => !(label >= 0 && label < classes));
    if (wrong === -1) continue;
    throw new ConfigurationError(
      path,
      `The target of output '${name}' holds the label ${target.data[wrong]} in sample ${Math.floor(wrong / sampleSize(target))}, ` +
        `but the output has ${classes} classes: labels are 0 … ${classes - 1}.`,
    );
  }
}
