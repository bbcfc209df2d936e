/** TensorBoard's event files, written without TensorFlow. */
export { type TensorBoardOptions, tensorBoard } from './callback.js';
