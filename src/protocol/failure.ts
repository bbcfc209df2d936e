/** An error as it crosses threads: class and fields would be lost, so they travel as data. */

export interface Failure {
  readonly name: string;
  readonly message: string;
  readonly stack?: string;
  readonly code?: string;
  /** Worker index, where known. */
  readonly worker?: number;
  readonly stage?: number;
  readonly layer?: string;
  readonly microBatch?: number;
  /** Mini-batch count since the trainer was made, from 0. */
  readonly step?: number;
  /** Text form of the action that was running. */
  readonly action?: string;
}
