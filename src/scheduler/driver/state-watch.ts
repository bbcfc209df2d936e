/**
 * Notices when the user resets the states of stateful layers on the wrapped model, as tfjs's recipes for recurrent models do
 * between epochs: `model.resetStates()`. The states themselves live in the workers.
 */
import { insideAndItself, isStateful, type Layer } from '../../tfjs/internals.js';

interface Resettable {
  resetStates(...states: unknown[]): void;
}

export class StateWatch {
  readonly #watched: readonly Layer[];
  #wasReset = false;

  constructor(layers: readonly Layer[]) {
    this.#watched = layers.flatMap(statefulParts);
    for (const layer of this.#watched) {
      const own = layer as unknown as Resettable;
      const reset = own.resetStates.bind(own);
      own.resetStates = (...states) => {
        reset(...states);
        this.#wasReset = true;
      };
    }
  }

  /** Whether states were reset since the last look. */
  take(): boolean {
    const wasReset = this.#wasReset;
    this.#wasReset = false;
    return wasReset;
  }

  /** Gives the layers their own method back. */
  end(): void {
    for (const layer of this.#watched) Reflect.deleteProperty(layer, 'resetStates');
  }
}

function statefulParts(layer: Layer): Layer[] {
  return insideAndItself(layer).filter(part => isStateful(part) && 'resetStates' in part);
}
