/** Classes registered with tfjs, by name. */

import { MillraceError } from '../errors.js';
import { tf } from '../tf.js';

type FromConfig = (cls: unknown, config: object) => unknown;

/** Makes an object of a class registered with tfjs (layers, optimizers, user's own) from its config. */
export function fromRegisteredConfig<T>(className: string, config: object, kind: string): T {
  const map = tf.serialization.SerializationMap.getMap().classNameMap as Record<
    string,
    [unknown, FromConfig] | undefined
  >;
  const entry = map[className];
  if (entry === undefined) {
    throw new MillraceError(
      'MILLRACE_UNKNOWN_CLASS',
      `The ${kind} class '${className}' is not registered with tfjs in this thread. Register it with ` +
        'tf.serialization.registerClass() in a module and name that module in the `setup` option.',
    );
  }
  const [cls, fromConfig] = entry;
  return fromConfig(cls, config) as T;
}

export function isRegisteredClass(className: string): boolean {
  return tf.serialization.SerializationMap.getMap().classNameMap[className] !== undefined;
}
