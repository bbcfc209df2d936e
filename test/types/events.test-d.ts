/** Events and actions are told apart by `kind`, and a `switch` that forgets one does not compile. */
import type { Action, ActionRecord, PipelinedModel, StageError, TrainerEvent } from 'millrace';
import type { Observable } from 'rxjs';
import { describe, expectTypeOf, it } from 'vitest';

type Kind = TrainerEvent['kind'];
type EventOf<K extends Kind> = Extract<TrainerEvent, { kind: K }>;

describe('an event', () => {
  it('comes from events$', () => {
    expectTypeOf<PipelinedModel['events$']>().toEqualTypeOf<Observable<TrainerEvent>>();
  });

  it('is one of these kinds', () => {
    type Known =
      | 'warning'
      | 'train-begin'
      | 'epoch-begin'
      | 'step'
      | 'epoch-end'
      | 'train-end'
      | 'aborted'
      | 'failure';
    expectTypeOf<Known>().toExtend<Kind>();
  });

  it('holds what belongs to its kind', () => {
    expectTypeOf<EventOf<'step'>['logs']>().toEqualTypeOf<Readonly<Record<string, number>>>();
    expectTypeOf<EventOf<'step'>['actions']>().toEqualTypeOf<readonly ActionRecord[]>();
    expectTypeOf<EventOf<'failure'>['error']>().toEqualTypeOf<StageError>();
    expectTypeOf<EventOf<'epoch-end'>>().toHaveProperty('epoch');
    expectTypeOf<EventOf<'train-end'>>().not.toHaveProperty('epoch');
  });

  it('is narrowed by its kind', () => {
    const event = {} as TrainerEvent;
    // @ts-expect-error: not every event has logs
    event.logs;
    if (event.kind === 'step') expectTypeOf(event).toEqualTypeOf<EventOf<'step'>>();
    // @ts-expect-error: no such kind
    if (event.kind === 'batch') return;
  });

  it('cannot be changed', () => {
    const event = {} as EventOf<'epoch-end'>;
    // @ts-expect-error: read-only
    event.epoch = 1;
    // @ts-expect-error: read-only
    event.logs['loss'] = 1;
  });
});

describe('an action', () => {
  it('is narrowed by its kind, until none is left', () => {
    const action = {} as Action;
    switch (action.kind) {
      case 'forward':
      case 'backwardInput':
      case 'backwardWeight':
      case 'recompute':
        expectTypeOf(action.microBatches).toEqualTypeOf<readonly number[]>();
        break;
      case 'send':
      case 'receive':
        expectTypeOf(action.peer).toEqualTypeOf<number | 'driver'>();
        break;
      case 'step':
        expectTypeOf(action).not.toHaveProperty('microBatches');
        break;
      default:
        expectTypeOf(action).toBeNever();
    }
  });
});
