/**
 * Adds the optimizer steps, and what stages exchange around them.
 *
 * A stage steps right after its own last W and waits for no other stage; its weights are then new for its next
 * forward, which belongs to the next mini-batch. Three things need other stages first, and wait at the end of the
 * worker's program:
 *
 *   - the owner of a tied weight sums the gradients of all stages that have a copy, steps, and sends the weight back
 *   - replicas: each steps a share of the weights, for which the others send it their gradients (a reduce-scatter), and
 *     tells them when the stepped weights are in the memory that all read them from (an all-gather). Nobody writes there while
 *     others read: a stage steps behind the gradients of all replicas, which they send behind their last W, and it begins its
 *     next F behind the word of all replicas
 *   - clipping by global norm: stage 0 adds up the squared norms of all stages and tells everybody
 *
 *   stage 0, owner   … 0W3                        0G<1 [0N<1 0T>1] 0S 0V>1
 *   stage 1, user    … 1W3 1G>0 [1N>0]       [1T<0] 1S                     1V<0
 *
 *   replica 0        … 0W3 0P>1                   0P<1 0S 0U>1 0U<1
 *   replica 1        … 1W3 1P>0                   1P<0 1S 1U>0 1U<0
 *
 * No circle of waits can arise. Gradients leave right after a stage's own last W, which waits for no exchange (those of a
 * tied weight's owner once it has the copies' gradients); everything at the end of a program comes behind all of that
 * worker's W's, and there every worker first takes gradients, of copies and then of replicas, exchanges norms, steps,
 * sends weights or word of them, and takes those of others last.
 */
import type { Action, ExchangeAction, ExchangePass, Program } from '../../../protocol/action.js';
import type { StageTie } from '../../../protocol/topology.js';
import { insert } from './insert.js';

/** The stage that adds up the norms. */
const NORM_STAGE = 0;

export interface StepOptions {
  readonly stageCount: number;
  readonly ties: readonly StageTie[];
  readonly replicaTies: readonly StageTie[];
  /** Whether gradients are clipped by their norm over all stages. */
  readonly globalNorm: boolean;
}

export function addSteps(program: Program, options: StepOptions): Program {
  const { ties, replicaTies, globalNorm } = options;
  const lastWeight = new Map<number, number>();
  program.forEach((action, index) => {
    if (action.kind === 'backwardWeight') lastWeight.set(action.stage, index);
  });
  const stages = [...lastWeight.keys()].sort((one, other) => one - other);
  const owners = new Set(ties.map(({ owner }) => owner));
  const replicated = new Set(replicaTies.flatMap(({ owner, user }) => [owner, user]));
  const isOwner = (stage: number): boolean => owners.has(stage);
  /** Whether its own last W does not complete the gradients that a stage steps with. */
  const isAwaiting = (stage: number): boolean => isOwner(stage) || replicated.has(stage);
  const isLate = (stage: number): boolean => globalNorm || isAwaiting(stage);
  const reduced = (stage: number): readonly Action[] =>
    ownersOf(stage, replicaTies).map(owner => send(stage, 'replica-gradient', owner));
  const stepped = insert(program, ({ stage }, index) => {
    if (lastWeight.get(stage) !== index) return undefined;
    const after: Action[] = ownersOf(stage, ties).map(owner => send(stage, 'tied-gradient', owner));
    if (!isOwner(stage)) after.push(...reduced(stage));
    if (globalNorm && !isAwaiting(stage)) after.push(...partialNorm(stage));
    if (!isLate(stage)) after.push({ kind: 'step', stage });
    return { after };
  });
  const late = stages.filter(isLate);
  const exchange = (
    of: readonly number[],
    peersOf: (stage: number, ties: readonly StageTie[]) => readonly number[],
    between: readonly StageTie[],
    message: (stage: number, peer: number) => Action,
  ): readonly Action[] => of.flatMap(stage => peersOf(stage, between).map(peer => message(stage, peer)));
  return [
    ...stepped,
    ...exchange(late, usersOf, ties, (stage, user) => receive(stage, 'tied-gradient', user)),
    ...late.filter(isOwner).flatMap(reduced),
    ...exchange(late, usersOf, replicaTies, (stage, user) => receive(stage, 'replica-gradient', user)),
    ...(globalNorm ? norms(stages, isAwaiting, options.stageCount) : []),
    ...late.map((stage): Action => ({ kind: 'step', stage })),
    ...exchange(stages, usersOf, replicaTies, (stage, user) => send(stage, 'replica-weight', user)),
    ...exchange(stages, ownersOf, replicaTies, (stage, owner) => receive(stage, 'replica-weight', owner)),
    ...exchange(stages, usersOf, ties, (stage, user) => send(stage, 'tied-weight', user)),
    ...exchange(stages, ownersOf, ties, (stage, owner) => receive(stage, 'tied-weight', owner)),
  ];
}

function norms(
  stages: readonly number[],
  isAwaiting: (stage: number) => boolean,
  stageCount: number,
): readonly Action[] {
  const others = Array.from({ length: stageCount }, (_, stage) => stage).filter(
    stage => stage !== NORM_STAGE,
  );
  const total = stages.includes(NORM_STAGE)
    ? [
        ...others.map(other => receive(NORM_STAGE, 'partial-norm', other)),
        ...others.map(other => send(NORM_STAGE, 'total-norm', other)),
      ]
    : [];
  return [
    ...stages.filter(isAwaiting).flatMap(partialNorm),
    ...total,
    ...stages.filter(stage => stage !== NORM_STAGE).map(stage => receive(stage, 'total-norm', NORM_STAGE)),
  ];
}

function partialNorm(stage: number): readonly Action[] {
  return stage === NORM_STAGE ? [] : [send(stage, 'partial-norm', NORM_STAGE)];
}

function ownersOf(stage: number, ties: readonly StageTie[]): readonly number[] {
  return ties.filter(({ user }) => user === stage).map(({ owner }) => owner);
}

function usersOf(stage: number, ties: readonly StageTie[]): readonly number[] {
  return ties.filter(({ owner }) => owner === stage).map(({ user }) => user);
}

function send(stage: number, pass: ExchangePass, peer: number): ExchangeAction {
  return { kind: 'send', stage, microBatches: [], pass, peer };
}

function receive(stage: number, pass: ExchangePass, peer: number): ExchangeAction {
  return { kind: 'receive', stage, microBatches: [], pass, peer };
}
