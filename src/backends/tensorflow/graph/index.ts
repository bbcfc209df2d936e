/** TensorFlow graphs: functions of tensors that run in one call. */
export { areAlike } from './differences.js';
export { graphFunction, MOST_GRAPHS } from './graph-function.js';
export { recordParts } from './graph-parts.js';
export { isRecording, type RecordableBinding, recordable } from './recording.js';
