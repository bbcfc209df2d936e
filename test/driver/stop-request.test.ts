import { TrainingAbortedError } from 'millrace';
import { Subject } from 'rxjs';
import { TestScheduler } from 'rxjs/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { StopRequest } from '#internal/scheduler/driver/stop-request.js';

/** What `throwIfRequested` throws. */
function thrownBy(stop: StopRequest): unknown {
  try {
    stop.throwIfRequested();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe('a request to stop', () => {
  it('is not there until somebody makes it', () => {
    const stop = new StopRequest(new AbortController().signal);
    expect(stop.isRequested).toBe(false);
    expect(stop.isTornDown).toBe(false);
    expect(() => stop.throwIfRequested()).not.toThrow();
  });

  it('is there from the start when the signal was aborted before', () => {
    const reason = new Error('too late');
    const stop = new StopRequest(AbortSignal.abort(reason));
    expect(stop.isRequested).toBe(true);
    expect(stop.isTornDown).toBe(false);
    expect(thrownBy(stop)).toMatchObject({ code: 'MILLRACE_ABORTED', cause: reason });
    expect(thrownBy(stop)).toBeInstanceOf(TrainingAbortedError);
  });

  it('comes with the abort of its signal and carries the reason', () => {
    const controller = new AbortController();
    const stop = new StopRequest(controller.signal);
    controller.abort('enough');
    expect(stop.isRequested).toBe(true);
    expect(thrownBy(stop)).toMatchObject({ cause: 'enough' });
  });

  it('says why: what the caller gave, or that it was the trainer that was closed', () => {
    for (const [reason, message] of [
      [new Error('The trainer was closed.'), 'Training was stopped: The trainer was closed.'],
      ['enough', 'Training was stopped: enough'],
    ]) {
      const stop = new StopRequest();
      stop.request(reason);
      expect(thrownBy(stop)).toMatchObject({ message });
    }
  });

  it('keeps the reason that came first', () => {
    const controller = new AbortController();
    const stop = new StopRequest(controller.signal);
    stop.request('unsubscribed');
    controller.abort('aborted');
    stop.request('again');
    expect(thrownBy(stop)).toMatchObject({ cause: 'unsubscribed' });
  });
});

describe('a guarded run', () => {
  /** Runs with virtual time; streams are compared value by value and millisecond by millisecond. */
  function inVirtualTime(test: Parameters<TestScheduler['run']>[0]): void {
    new TestScheduler((actual, expected) => expect(actual).toEqual(expected)).run(test);
  }

  it('goes on untouched while nobody wants to stop', () => {
    inVirtualTime(({ cold, expectObservable, flush }) => {
      const stop = new StopRequest();
      const run = '2s a 3s b 2s |';
      expectObservable(cold(run).pipe(stop.guard())).toBe(run);
      flush();
      expect(stop.isTornDown).toBe(false);
    });
  });

  it('may finish within the grace period', () => {
    inVirtualTime(({ cold, expectObservable, flush }) => {
      const stop = new StopRequest();
      //                       the request comes with a
      const run = cold('    500ms a 600ms b 397ms |');
      const expected = '    500ms a 600ms b 397ms |';
      cold('                500ms a').subscribe(() => stop.request('enough'));
      expectObservable(run.pipe(stop.guard())).toBe(expected);
      flush();
      expect(stop.isRequested).toBe(true);
      expect(stop.isTornDown).toBe(false);
    });
  });

  it('is ended and unsubscribed from when a second passes without a report after the request', () => {
    inVirtualTime(({ cold, expectObservable, expectSubscriptions, flush }) => {
      const stop = new StopRequest();
      //                       request       1,000 ms later
      const run = cold('    500ms a 398ms b 1s c 2s |');
      const expected = '    500ms a 398ms b 999ms |';
      const subscribed = '  ^ 1898ms            !';
      cold('                500ms a').subscribe(() => stop.request('enough'));
      expectObservable(run.pipe(stop.guard())).toBe(expected);
      expectSubscriptions(run.subscriptions).toBe(subscribed);
      flush();
      expect(stop.isTornDown).toBe(true);
    });
  });

  it('of long steps may finish all that are under way, each in twice the time of the longest so far', () => {
    inVirtualTime(({ cold, expectObservable, flush }) => {
      const stop = new StopRequest();
      //                  request with b
      const run = '    2s a 3s b 5s c 9s d |';
      cold('           2s a 3s b').subscribe(value => value === 'b' && stop.request('enough'));
      expectObservable(cold(run).pipe(stop.guard())).toBe(run);
      flush();
      expect(stop.isTornDown).toBe(false);
    });
  });

  it('of long steps is ended when one takes more than twice the time of the longest so far', () => {
    inVirtualTime(({ cold, expectObservable, flush }) => {
      const stop = new StopRequest();
      cold('3s a').subscribe(() => stop.request('enough'));
      expectObservable(cold('3s a 7s b |').pipe(stop.guard())).toBe('3s a 5999ms |');
      flush();
      expect(stop.isTornDown).toBe(true);
    });
  });

  it('remembers how long the steps of earlier runs of the same fit took', () => {
    inVirtualTime(({ cold, expectObservable, flush }) => {
      const stop = new StopRequest();
      expectObservable(cold('2s a |').pipe(stop.guard())).toBe('2s a |');
      cold('5s r').subscribe(() => stop.request('enough'));
      expectObservable(cold('--').pipe(stop.guard())).toBe('9s |');
      flush();
      expect(stop.isTornDown).toBe(true);
    });
  });

  it('gets no more than a minute for a mini-batch, however long its steps are', () => {
    inVirtualTime(({ cold, expectObservable, flush }) => {
      const stop = new StopRequest();
      cold('50s a').subscribe(() => stop.request('enough'));
      expectObservable(cold('50s a').pipe(stop.guard())).toBe('50s a 59999ms |');
      flush();
      expect(stop.isTornDown).toBe(true);
    });
  });

  it('that says nothing any more is ended too, and gets no second grace period by a second request', () => {
    inVirtualTime(({ cold, hot, expectObservable, flush }) => {
      const stop = new StopRequest();
      hot('--a 700ms b').subscribe(() => stop.request('enough'));
      expectObservable(cold('-').pipe(stop.guard())).toBe('-- 1s |');
      flush();
      expect(stop.isTornDown).toBe(true);
    });
  });

  it('fails as it does without a guard, before and after a request', () => {
    inVirtualTime(({ cold, expectObservable, flush }) => {
      const stop = new StopRequest();
      cold('           10ms a').subscribe(() => stop.request('enough'));
      const runs = [' 5ms #', '500ms #'];
      for (const run of runs) expectObservable(cold(run).pipe(stop.guard())).toBe(run);
      flush();
      expect(stop.isTornDown).toBe(false);
    });
  });

  it('takes its signal while it runs', () => {
    inVirtualTime(({ cold, expectObservable, flush }) => {
      const controller = new AbortController();
      const stop = new StopRequest(controller.signal);
      cold('300ms a').subscribe(() => controller.abort());
      expectObservable(cold('-').pipe(stop.guard())).toBe('1300ms |');
      flush();
      expect(stop.isTornDown).toBe(true);
    });
  });

  describe('leaves no timer behind', () => {
    beforeEach(() => {
      vi.useFakeTimers();
    });
    afterEach(() => {
      vi.useRealTimers();
    });

    it('when it finishes within the grace period, so that nothing is torn down later', () => {
      const stop = new StopRequest();
      const run$ = new Subject<void>();
      run$.pipe(stop.guard()).subscribe();
      stop.request('enough');
      expect(vi.getTimerCount()).toBe(1);
      run$.complete();
      expect(vi.getTimerCount()).toBe(0);
      vi.advanceTimersByTime(5_000);
      expect(stop.isTornDown).toBe(false);
    });
  });
});
