/** The transport's front door: what the driver, the stages and later links to other machines may use. */
export { Arena, MAX_ARENA_BYTES } from './arena.js';
export { ControlBlock } from './control.js';
export { AbortedError, CapacityError, StallError, TransportError } from './errors.js';
export { channelBytes, layOutChannel, resetChannel } from './layout.js';
export type { Collective, Links, ReceiveLink, SendLink, SlotView } from './link.js';
export { type MessageEntry, MessageWriter, messageBytes, messageTag, readMessage } from './message.js';
export {
  ChannelConsumer,
  ChannelProducer,
  POISON_BYTE,
  type RingChannelOptions,
  SharedMemoryLinks,
} from './ring-channel.js';
export {
  collectiveBytes,
  layOutCollective,
  resetCollective,
  SharedMemoryCollective,
} from './shared-memory-collective.js';
export { StepBoard, type StepDescriptor } from './step-board.js';
export { spinCountFor, WAIT_SLICE_MS, Waiter, type WaiterOptions } from './waiter.js';
