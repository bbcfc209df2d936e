/**
 * The actions that a schedule orders and a program executes.
 *
 * A *schedule* holds compute actions alone: forward (F), backward for the input (B) and backward for the
 * weights (W), after Zero Bubble (arXiv 2401.10241). Passes over it add receives, sends, recomputation and
 * optimizer steps; the result is a *program*, the flat list that one worker runs for one mini-batch.
 */

/** Who is at the other end of a send or a receive: a stage, or the driver on the main thread. */
export type Peer = number | 'driver';

/** `forward` carries activations (or fed inputs and targets), `backward` carries gradients of activations. */
export type MicroBatchPass = 'forward' | 'backward';

/**
 * What stages owe each other once a mini-batch, between their last W and their next F:
 *
 * - `tied-gradient`: a stage with a copy of a weight sends the copy's gradient to the stage that owns the weight
 * - `tied-weight`: the owner sends the stepped weight back
 * - `replica-gradient`: a replica's stage sends the gradients of weights that the same stage of another replica steps
 * - `replica-weight`: that one says that the stepped weights are where all replicas read them
 * - `partial-norm`: a stage sends the squared norm of its gradients to stage 0
 * - `total-norm`: stage 0 sends their sum back, for clipping by global norm
 */
export type ExchangePass =
  | 'tied-gradient'
  | 'tied-weight'
  | 'replica-gradient'
  | 'replica-weight'
  | 'partial-norm'
  | 'total-norm';

/** What a send or a receive carries. */
export type Pass = MicroBatchPass | ExchangePass;

/** F, B and W. F and B name one micro-batch, W one or several, in the order in which they are summed. */
export interface ComputeAction {
  readonly kind: 'forward' | 'backwardInput' | 'backwardWeight';
  readonly stage: number;
  readonly microBatches: readonly number[];
}

/** Runs a forward pass again, for its tape, from the kept stage input. */
export interface RecomputeAction {
  readonly kind: 'recompute';
  readonly stage: number;
  readonly microBatches: readonly number[];
}

/** Moves what crosses one cut for one micro-batch; `stage` is the side that acts. */
export interface MessageAction {
  readonly kind: 'send' | 'receive';
  readonly stage: number;
  readonly microBatches: readonly number[];
  readonly pass: MicroBatchPass;
  readonly peer: Peer;
}

/** Moves what stages owe each other once a mini-batch; it names no micro-batch. */
export interface ExchangeAction {
  readonly kind: 'send' | 'receive';
  readonly stage: number;
  readonly microBatches: readonly [];
  readonly pass: ExchangePass;
  readonly peer: number;
}

/** A send or a receive, by what it carries. */
export type CommunicationAction = MessageAction | ExchangeAction;

/** Applies the summed gradients of the mini-batch to the stage's weights. */
export interface StepAction {
  readonly kind: 'step';
  readonly stage: number;
}

/** Anything that a worker does, told apart by `kind`. */
export type Action = ComputeAction | RecomputeAction | CommunicationAction | StepAction;

/** What tells actions apart. */
export type ActionKind = Action['kind'];

export function isCommunication(action: Action): action is CommunicationAction {
  return action.kind === 'send' || action.kind === 'receive';
}

export function isExchange(action: Action): action is ExchangeAction {
  return isCommunication(action) && action.pass !== 'forward' && action.pass !== 'backward';
}

/** What one worker runs for one mini-batch, in order. */
export type Program = readonly Action[];
