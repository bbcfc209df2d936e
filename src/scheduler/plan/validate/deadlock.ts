/** Explains a deadlock: who waits for whom, in a circle. */
import type { Program } from '../../../protocol/action.js';
import type { Fault } from '../fault.js';
import type { BlockedWorker } from '../simulation/run.js';
import { formatAction } from '../text.js';

/** `blocked` is what the simulator could not bring to an end; at least one worker. */
export function deadlockFault(programs: readonly Program[], blocked: readonly BlockedWorker[]): Fault {
  const circle = findCircle(blocked);
  const first = circle.reduce((one, other) => (other.worker < one.worker ? other : one));
  const { worker, index, miniBatch } = first;
  const inOrder = [...circle.slice(circle.indexOf(first)), ...circle.slice(0, circle.indexOf(first))];
  const waits = inOrder.map(wait => `  ${describe(programs, wait)}`).join('\n');
  return {
    fault: 'deadlock',
    worker,
    index,
    action: programs[worker]![index]!,
    miniBatch,
    message: `the workers would wait for each other for ever:\n${waits}`,
    note: 'waits for ever',
  };
}

/** Follows the waits until they close, or until they end at a worker that is done or at the driver. */
function findCircle(blocked: readonly BlockedWorker[]): readonly BlockedWorker[] {
  const byWorker = new Map(blocked.map(wait => [wait.worker, wait]));
  const path: BlockedWorker[] = [];
  let wait: BlockedWorker | undefined = blocked[0]!;
  while (wait !== undefined && !path.includes(wait)) {
    path.push(wait);
    const other = otherSide(wait);
    wait = other === undefined ? undefined : byWorker.get(other);
  }
  return wait === undefined ? path.slice(-1) : path.slice(path.indexOf(wait));
}

/** Slots of a feed come back from the waiting worker itself, as the driver never holds one. */
function otherSide({ worker, channel, waitsFor }: BlockedWorker): number | undefined {
  if (channel.from === 'driver') return worker;
  return waitsFor === 'message' ? channel.sender : channel.receiver;
}

function describe(programs: readonly Program[], wait: BlockedWorker): string {
  const { worker, index, channel } = wait;
  const action = formatAction(programs[worker]![index]!);
  const other = otherSide(wait);
  const whose = other === worker ? 'itself' : `worker ${other ?? '(none)'}`;
  const needsSlot = wait.waitsFor === 'slot' || channel.from === 'driver';
  const what = needsSlot
    ? `${whose} to release a slot of channel ${channel.id}`
    : `${whose} to send on channel ${channel.id}`;
  return `worker ${worker} at ${action} waits for ${what}`;
}
