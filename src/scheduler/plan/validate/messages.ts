/**
 * Checks sends and receives: each message has both sides, both sides of a channel name the same micro-batches in
 * the same order, receives stand before their use and sends behind what they send. The driver speaks in
 * ascending order of micro-batches, so its channels must too. Exchanges stand on their side of the step.
 */
import { type CommunicationAction, isExchange, type Program } from '../../../protocol/action.js';
import { channelId, channelOf } from '../../../protocol/channel.js';
import type { Fault } from '../fault.js';
import { isCompute } from '../simulation/last-use.js';
import { formatAction } from '../text.js';

interface Message {
  readonly worker: number;
  readonly index: number;
  readonly action: CommunicationAction;
}

interface ChannelMessages {
  readonly sends: Message[];
  readonly receives: Message[];
}

export function findMessageFault(programs: readonly Program[]): Fault | undefined {
  for (const [worker, program] of programs.entries()) {
    const found = findMisplaced(program, worker);
    if (found !== undefined) return found;
  }
  for (const [id, messages] of collect(programs)) {
    const found = compareSides(id, messages);
    if (found !== undefined) return found;
  }
  return undefined;
}

function collect(programs: readonly Program[]): ReadonlyMap<string, ChannelMessages> {
  const channels = new Map<string, ChannelMessages>();
  programs.forEach((program, worker) => {
    program.forEach((action, index) => {
      if (action.kind !== 'send' && action.kind !== 'receive') return;
      const id = channelId(channelOf(action));
      const messages = channels.get(id) ?? { sends: [], receives: [] };
      channels.set(id, messages);
      messages[action.kind === 'send' ? 'sends' : 'receives'].push({ worker, index, action });
    });
  });
  return channels;
}

function compareSides(id: string, { sends, receives }: ChannelMessages): Fault | undefined {
  const any = sends[0] ?? receives[0]!;
  if (any.action.peer === 'driver') return findUnsorted(id, sends.length > 0 ? sends : receives);
  for (let message = 0; message < Math.max(sends.length, receives.length); message++) {
    const send = sends[message];
    const receive = receives[message];
    if (receive === undefined)
      return fault(send!, `message ${message} of channel ${id} is never received`, 'not received');
    if (send === undefined)
      return fault(receive, `message ${message} of channel ${id} is never sent`, 'not sent');
    if (send.action.microBatches.join() !== receive.action.microBatches.join()) {
      const sent = `${formatAction(send.action)} on worker ${send.worker}`;
      return fault(
        receive,
        `message ${message} of channel ${id} is ${sent}; both sides must go through the micro-batches in one order`,
        'other order',
      );
    }
  }
  return undefined;
}

function findUnsorted(id: string, messages: readonly Message[]): Fault | undefined {
  const first = messages.findIndex(
    ({ action }, message) =>
      message > 0 && action.microBatches[0]! <= messages[message - 1]!.action.microBatches[0]!,
  );
  if (first < 0) return undefined;
  return fault(
    messages[first]!,
    `channel ${id} must go through the micro-batches upwards, as the driver does`,
    'too late',
  );
}

/** F stands between the receives of its inputs and the sends of its outputs; so does B for gradients. */
function findMisplaced(program: Program, worker: number): Fault | undefined {
  const computed = new Set<string>();
  const stepped = new Set<number>();
  for (const [index, action] of program.entries()) {
    if (isCompute(action)) {
      computed.add(formatAction(action));
      continue;
    }
    if (action.kind === 'step') {
      stepped.add(action.stage);
      continue;
    }
    if (isExchange(action)) {
      const belongsBehind = action.pass === 'tied-weight' || action.pass === 'replica-weight';
      if (stepped.has(action.stage) === belongsBehind) continue;
      const step = formatAction({ kind: 'step', stage: action.stage });
      const side = belongsBehind ? 'behind' : 'before';
      return fault(
        { worker, index, action },
        `${formatAction(action)} must stand ${side} ${step}`,
        `not ${side} ${step}`,
      );
    }
    const kind = action.pass === 'forward' ? 'forward' : 'backwardInput';
    const partner = formatAction({ kind, stage: action.stage, microBatches: action.microBatches });
    if (computed.has(partner) === (action.kind === 'send')) continue;
    const rule = action.kind === 'send' ? 'behind' : 'before';
    return fault(
      { worker, index, action },
      `${formatAction(action)} must stand ${rule} ${partner}`,
      `not ${rule} ${partner}`,
    );
  }
  return undefined;
}

function fault({ worker, index, action }: Message, message: string, note: string): Fault {
  return { fault: 'message', worker, index, action, message, note };
}
