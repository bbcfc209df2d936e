/**
 * A TensorFlow resource variable: memory that the optimizer's ops update in place.
 *
 * Three traps. The empty shared name makes all variables one; a name of our own keeps its memory after the handle is gone;
 * only TensorFlow's anonymous name does neither. A handle looks to tfjs like a string tensor, which `tidy` would dispose.
 * And while a tensor that was read from a resource lives, an update copies the whole memory first.
 */
import { tf } from '../../../tf.js';
import { copy } from '../memory.js';
import { rawOps } from '../raw-ops.js';
import type { HeldSlot } from './held.js';

/** `ResourceHandle::ANONYMOUS_NAME` of TensorFlow. */
const ANONYMOUS = 'cd2c89b7-88b7-44c8-ad83-06c2a9158347';

export class Resource implements HeldSlot {
  /** Its handle. */
  readonly operand: tf.Tensor;

  /** @param initial stays the caller's */
  constructor(initial: tf.Tensor) {
    const raw = rawOps();
    const attributes = [
      raw.type('dtype'),
      raw.shape('shape', initial.shape),
      raw.string('shared_name', ANONYMOUS),
      raw.string('container', ''),
    ];
    this.operand = tf.keep(raw.one('VarHandleOp', attributes));
    this.assign(initial);
  }

  /** Takes a copy: an assigned tensor would be shared, and updates would write into whatever it reads, a slot perhaps. */
  assign(value: tf.Tensor): void {
    const raw = rawOps();
    const copied = copy(value);
    raw.many('AssignVariableOp', [raw.type('dtype')], [this.operand, copied], 0);
    copied.dispose();
  }

  /** A tensor that shares the memory; it must be disposed before the next update. */
  read(): tf.Tensor {
    const raw = rawOps();
    return raw.one('ReadVariableOp', [raw.type('dtype')], this.operand);
  }

  dispose(): void {
    this.operand.dispose();
  }
}
