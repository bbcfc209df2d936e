/** Says where a loss stopped being a number, once a run: the stage that owns the loss is where to look first. */
import type { CutModel } from '../../../model/index.js';
import type { CompileSpec } from '../../../protocol/stage-spec.js';
import type { Warn } from '../events.js';

export interface WatchedStep {
  readonly epoch: number;
  readonly batch: number;
  readonly step: number;
  /** See `SumsLayout`: the losses come first, the penalty last. */
  readonly sums: ArrayLike<number>;
}

export class NanWatch {
  readonly #cutNow: () => CutModel;
  readonly #compile: CompileSpec;
  readonly #warn: Warn;
  #hasWarned = false;

  /** @param cutNow the cut of the present plan, which may change from step to step */
  constructor(cutNow: () => CutModel, compile: CompileSpec, warn: Warn) {
    this.#cutNow = cutNow;
    this.#compile = compile;
    this.#warn = warn;
  }

  /** Whether a loss or the penalty of the step is NaN or infinite. */
  look({ epoch, batch, step, sums }: WatchedStep): boolean {
    const outputs = this.#compile.outputs;
    const losses = Array.from({ length: outputs.length }, (_, output) => sums[output]!);
    const output = losses.findIndex(loss => !Number.isFinite(loss));
    const penalty = sums[sums.length - 1]!;
    if (output === -1 && Number.isFinite(penalty)) return false;
    if (this.#hasWarned) return true;
    this.#hasWarned = true;
    const at = `in step ${step} (batch ${batch} of epoch ${epoch})`;
    const place = { epoch, batch, step };
    if (output === -1) {
      this.#warn('LOSS_NOT_FINITE', `The penalty of the weight regularizers is ${penalty} ${at}.`, place);
      return true;
    }
    const { name } = outputs[output]!;
    const stage = this.#cutNow().stages.findIndex(({ outputs: owned }) => owned.includes(output));
    this.#warn(
      'LOSS_NOT_FINITE',
      `The loss of output '${name}', which stage ${stage} computes, is ${losses[output]} ${at}. A smaller learning rate, or ` +
        'data without NaN, is what usually helps.',
      { ...place, stage, output: name },
    );
    return true;
  }
}
