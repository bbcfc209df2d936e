/**
 * When a stage is done with a micro-batch: after the last compute action of the two. In training that is W,
 * which reads the stage's inputs and output gradients; otherwise F.
 *
 * Until then the micro-batch is *live* on the stage: its activations are kept, and so are the slots that its
 * messages arrived in. What is exchanged once a mini-batch is copied when it is received, and its slot released at once, but for
 * gradients of replicas: those may be factors, which are read until the step.
 */
import type { Action, ExchangeAction, Program } from '../../../protocol/action.js';

export class LastUses {
  /** By stage, then micro-batch. */
  readonly #indexOf = new Map<number, number[]>();
  readonly #stepOf = new Map<number, number>();

  constructor(program: Program) {
    program.forEach((action, index) => {
      if (action.kind === 'step') this.#stepOf.set(action.stage, index);
      if (!isCompute(action)) return;
      let ofStage = this.#indexOf.get(action.stage);
      if (ofStage === undefined) {
        ofStage = [];
        this.#indexOf.set(action.stage, ofStage);
      }
      for (const microBatch of action.microBatches) ofStage[microBatch] = index;
    });
  }

  /** Position of the last compute action; undefined if there is none. */
  indexOf(stage: number, microBatch: number): number | undefined {
    return this.#indexOf.get(stage)?.[microBatch];
  }

  /** The same of what was received at `index`. */
  ofExchange({ stage, pass }: ExchangeAction, index: number): number {
    return (pass === 'replica-gradient' ? this.#stepOf.get(stage) : undefined) ?? index;
  }
}

export function isCompute(action: Action): action is Exclude<Action, { kind: 'send' | 'receive' | 'step' }> {
  return action.kind !== 'send' && action.kind !== 'receive' && action.kind !== 'step';
}
